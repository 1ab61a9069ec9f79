package dev.lacuna.hub;

import java.util.ArrayList;
import java.util.List;

/** Remembers what a pull said, and can be made to fail at a byte. */
final class Watcher implements Progress {
    final List<String> notices = new ArrayList<>();
    final List<String> begun = new ArrayList<>();
    long shown;
    private long total;
    int open;
    private long failAt = Long.MAX_VALUE;

    /** Stands for a kill: an error out of the blue once so many bytes are there. */
    static final class Killed extends Error {
        private static final long serialVersionUID = 1L;
    }

    Watcher killAt(long bytes) {
        failAt = bytes;
        return this;
    }

    @Override
    public void begin(String what, long totalBytes) {
        if (open++ != 0) throw new IllegalStateException("begun twice");
        begun.add(what);
        total = totalBytes;
        shown = 0;
    }

    @Override
    public void advance(long bytes) {
        if (open != 1 || bytes <= 0) throw new IllegalStateException("advanced by " + bytes + " with " + open + " open");
        shown += bytes;
        if (total >= 0 && shown > total) throw new IllegalStateException(shown + " of " + total);
        if (shown >= failAt) throw new Killed();
    }

    @Override
    public void end() {
        if (--open != 0) throw new IllegalStateException("ended without a beginning");
    }

    @Override
    public void notice(String line) {
        notices.add(line);
    }

    boolean said(String words) {
        return notices.stream().anyMatch(line -> line.contains(words));
    }
}
