package dev.lacuna.text;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/** Remembers the tokens of recent short words: one word a slot, the newest wins. Bounded, and safe between threads because entries never change. */
final class WordCache {
    /** Longer words are not kept. */
    static final int LONGEST = 24;
    private static final int SLOTS = 1 << 13;
    private final AtomicReferenceArray<@Nullable Entry> slots = new AtomicReferenceArray<>(SLOTS);

    private record Entry(String word, int[] ids) {}

    static int hash(String text, int from, int to) {
        int hash = to - from;
        for (int i = from; i < to; i++) {
            hash = hash * 31 + text.charAt(i);
        }
        return hash * 0x9E3779B1;
    }

    /** The ids of a word, which the caller must not change, or null. */
    int @Nullable [] get(int hash, String text, int from, int to) {
        Entry entry = slots.getAcquire(hash >>> 19);
        return entry != null && entry.word.length() == to - from && entry.word.regionMatches(0, text, from, to - from) ? entry.ids : null;
    }

    void put(int hash, String text, int from, int to, int[] ids, int n) {
        slots.setRelease(hash >>> 19, new Entry(text.substring(from, to), Arrays.copyOf(ids, n)));
    }
}
