package dev.lacuna.text;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;

/** The corpus of corpus.py, string for string: text, code, all of Unicode, emoji, marks, white space, and special tokens in between. */
final class ParityCorpus {
    static final int COUNT = 20_000;
    private static final String SPACES = " \t\n\r\u00a0\u2003\u3000\u000b\u000c\u0085\u2028\u1680\u200b";
    private static final String PUNCTUATION = ".,;:!?'\"()[]{}<>/\\|@#$%^&*-_=+`~\u2019\u2014\u3002\uff01\u20ac";
    private static final List<String> EMOJI = List.of("🙂", "👩", "👧", "👦", "🏽", "\uD83C\uDDE9", "\uD83C\uDDEA", "🎉", "\u2764",
            "\u200d",
            "\ufe0f", "\u20e3", "👨\u200d👩\u200d👧", "1\ufe0f\u20e3");
    private static final List<String> MARKED = List.of("a", "e", "i", "o", "n", "c", "A", "\u00e9", "\uac00", "\u0915", "\u0627");
    private static final List<String> CONTRACTIONS = List.of("'s", "'S", "'re", "'RE", "'ll", "'Ll", "'d", "'t", "'T", "'m", "'ve", "'VE",
            "'\u017f", "\u2019s", " 's", "'lL", "'x", "n't");
    private static final String REPEATED = "aA=-x \u2014\n";
    private final int[] text;
    private final List<String> specials;
    private long state = 20261122;

    private ParityCorpus(List<String> specials) {
        this.specials = specials;
        try (InputStream in = Objects.requireNonNull(ParityCorpus.class.getResourceAsStream("corpus.txt"))) {
            text = new String(in.readAllBytes(), StandardCharsets.UTF_8).codePoints().toArray();
        } catch (IOException unreadable) {
            throw new IllegalStateException(unreadable);
        }
    }

    /** The first strings, {@link #COUNT} at most. */
    static List<String> strings(List<String> specials, int count) {
        ParityCorpus corpus = new ParityCorpus(specials);
        List<String> strings = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            strings.add(corpus.run(8, corpus::piece));
        }
        return strings;
    }

    private int below(int n) {
        state = state * 6364136223846793005L + 1442695040888963407L;
        return (int) ((state >>> 33) % n);
    }

    private String of(String characters) {
        return String.valueOf(characters.charAt(below(characters.length())));
    }

    private String of(List<String> items) {
        return items.get(below(items.size()));
    }

    private String run(int most, Supplier<String> one) {
        StringBuilder out = new StringBuilder();
        for (int n = 1 + below(most); n > 0; n--) {
            out.append(one.get());
        }
        return out.toString();
    }

    private String block(int first, int size) {
        return Character.toString(first + below(size));
    }

    private String anything() {
        int c = 0x20 + below(0x2FFE0);
        return Character.toString(c < 0xD800 || c > 0xDFFF ? c : 0x2603);
    }

    private String excerpt() {
        int at = below(text.length);
        int length = below(48);
        return new String(text, at, Math.min(length, text.length - at));
    }

    private String piece() {
        return switch (below(16)) {
            case 0, 1, 2, 3 -> excerpt();
            case 4 -> run(4, () -> of(SPACES));
            case 5 -> repeated(" \n\t", 30);
            case 6 -> run(6, this::anything);
            case 7 -> run(6, () -> block(0x4E00, 0x5200));
            case 8 -> below(2) == 0 ? run(4, () -> block(0x3040, 0xC0)) : run(4, () -> block(0xAC00, 0x2BA4));
            case 9 -> run(6, () -> of(EMOJI));
            case 10 -> of(MARKED) + run(3, () -> block(0x300, 0x70));
            case 11 -> run(12, () -> block(0x30, 10));
            case 12 -> run(6, () -> of(PUNCTUATION));
            case 13 -> of(CONTRACTIONS);
            case 14 -> below(4) > 0 ? run(8, () -> block(0x20, 0x230)) : repeated(REPEATED, 120);
            default -> specials.isEmpty() ? "<|x|>" : of(specials);
        };
    }

    private String repeated(String characters, int most) {
        String one = of(characters);
        return one.repeat(1 + below(most));
    }
}
