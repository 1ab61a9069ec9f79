package dev.lacuna.text;

import java.util.ArrayList;
import java.util.List;

/**
 * Tells the thinking of a model from its answer in a stream of text, whatever the pieces are that the text arrives in. Markers themselves, and white space
 * directly after them, are left out. Not safe between threads.
 */
public final class ThinkingSplitter {
    /** What a part of the text is. */
    public enum Kind {
        THINKING, ANSWER
    }

    /** A stretch of text of one kind; never empty. */
    public record Part(Kind kind, String text) {}

    /** A text that begins or ends thinking. */
    private record Marker(String text, Kind next) {}

    private static final List<List<Marker>> FAMILIES = List.of(pair("<think>", "</think>"), pair("[THINK]", "[/THINK]"),
            pair("<thinking>", "</thinking>"), pair("<thought>", "</thought>"), pair("<seed:think>", "</seed:think>"),
            pair("<|START_THINKING|>", "<|END_THINKING|>"), pair("<reasoning>", "</reasoning>"),
            List.of(new Marker("<|channel|>analysis<|message|>", Kind.THINKING), new Marker("<|end|>", Kind.ANSWER),
                    new Marker("<|start|>assistant", Kind.ANSWER), new Marker("<|channel|>final<|message|>", Kind.ANSWER)));

    private static final int NONE = -1;
    private static final int PARTLY = -2;
    private final List<Marker> markers;
    private final StringBuilder held = new StringBuilder();
    private Kind kind;
    private boolean skipSpace;

    private ThinkingSplitter(List<Marker> markers, Kind kind) {
        this.markers = markers;
        this.kind = kind;
        skipSpace = kind == Kind.THINKING;
    }

    private static List<Marker> pair(String open, String close) {
        return List.of(new Marker(open, Kind.THINKING), new Marker(close, Kind.ANSWER));
    }

    /**
     * A splitter for one answer.
     *
     * @param template the source of the model's chat template; the markers that stand in it count, {@code <think>} where none does
     * @param prompt the rendered prompt: where it ends with an opening marker the answer begins with thinking
     */
    public static ThinkingSplitter of(String template, String prompt) {
        List<Marker> markers = new ArrayList<>();
        for (List<Marker> family : FAMILIES) {
            // gpt-oss names the channel apart from its marker
            boolean channels = family.size() > 2 && template.contains("<|channel|>");
            if (channels || (family.size() == 2 && family.stream().anyMatch(marker -> template.contains(marker.text)))) {
                markers.addAll(family);
            }
        }
        if (markers.isEmpty()) {
            markers.addAll(FAMILIES.getFirst());
        }
        String end = prompt.stripTrailing();
        boolean inside = markers.stream().anyMatch(marker -> marker.next == Kind.THINKING && end.endsWith(marker.text));
        return new ThinkingSplitter(markers, inside ? Kind.THINKING : Kind.ANSWER);
    }

    /** Takes more of the text; returns what can be told already, in order. What may be the beginning of a marker is held back. */
    public List<Part> add(String piece) {
        held.append(piece);
        List<Part> parts = new ArrayList<>();
        int from = 0;
        for (int at = 0; at < held.length();) {
            int fit = fit(at);
            if (fit == PARTLY) {
                emit(from, at, parts);
                held.delete(0, at);
                return parts;
            }
            if (fit == NONE) {
                at++;
                continue;
            }
            emit(from, at, parts);
            Marker marker = markers.get(fit);
            kind = marker.next;
            skipSpace = true;
            at += marker.text.length();
            from = at;
        }
        emit(from, held.length(), parts);
        held.setLength(0);
        return parts;
    }

    /** Returns what was held back: the text has ended. */
    public List<Part> finish() {
        List<Part> parts = new ArrayList<>();
        emit(0, held.length(), parts);
        held.setLength(0);
        return parts;
    }

    /** The marker at a place, {@link #PARTLY} where the held text ends within one, or {@link #NONE}. */
    private int fit(int at) {
        int found = NONE;
        for (int i = 0; i < markers.size(); i++) {
            String text = markers.get(i).text;
            int same = 0;
            while (same < text.length() && at + same < held.length() && held.charAt(at + same) == text.charAt(same)) {
                same++;
            }
            if (same == text.length()) {
                return i;
            }
            if (at + same == held.length()) {
                found = PARTLY;
            }
        }
        return found;
    }

    private void emit(int from, int to, List<Part> parts) {
        int start = from;
        while (skipSpace && start < to && Character.isWhitespace(held.charAt(start))) {
            start++;
        }
        if (start < to) {
            skipSpace = false;
            parts.add(new Part(kind, held.substring(start, to)));
        }
    }
}
