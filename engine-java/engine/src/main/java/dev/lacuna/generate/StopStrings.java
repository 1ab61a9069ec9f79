package dev.lacuna.generate;

import java.util.List;

/** Finds stop strings in a text that arrives in pieces, and holds back what may yet become one. */
final class StopStrings {
    private final List<String> stops;
    private final StringBuilder held = new StringBuilder();
    private boolean stopped;

    StopStrings(List<String> stops) {
        this.stops = stops;
    }

    /** Takes the next piece and returns the text that is safe to show. */
    String add(String piece) {
        if (stopped) return "";
        if (stops.isEmpty()) return piece;
        held.append(piece);
        int end = -1;
        for (String s : stops) {
            int at = held.indexOf(s);
            if (at >= 0 && (end < 0 || at < end)) end = at;
        }
        if (end >= 0) {
            stopped = true;
            String shown = held.substring(0, end);
            held.setLength(0);
            return shown;
        }
        int keep = 0;
        for (String s : stops) keep = Math.max(keep, overlap(s));
        String shown = held.substring(0, held.length() - keep);
        held.delete(0, held.length() - keep);
        return shown;
    }

    /** The longest end of the held text that a stop string begins with. */
    private int overlap(String stop) {
        for (int n = Math.min(stop.length() - 1, held.length()); n > 0; n--) {
            if (stop.startsWith(held.substring(held.length() - n))) return n;
        }
        return 0;
    }

    boolean stopped() {
        return stopped;
    }

    /** What was held back, at the end of the text. */
    String finish() {
        String rest = stopped ? "" : held.toString();
        held.setLength(0);
        return rest;
    }
}
