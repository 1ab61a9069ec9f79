package dev.lacuna.text;

import java.util.SplittableRandom;

/**
 * From a piece's text to its id, for any range of a string or two ranges joined, without making a string. A polynomial hash grows by one
 * character at either end, so that all prefixes and suffixes of a text are looked up in linear time.
 */
final class PieceIndex {
    private static final SplittableRandom SEEDS = new SplittableRandom();
    private final String[] pieces;
    private final int[] slots; // id + 1, 0 = free
    private final long[] hashes;
    private final long base;
    private int count;

    /** @param pieces the texts; ids are places in this array, filled in by {@link #add} */
    PieceIndex(String[] pieces) {
        this.pieces = pieces;
        int capacity = Integer.highestOneBit(Math.max(8, Math.multiplyExact(pieces.length, 2))) << 1;
        slots = new int[capacity];
        hashes = new long[capacity];
        synchronized (SEEDS) {
            base = SEEDS.nextLong() | 1;
        }
    }

    /** The id that already has this text, or -1 after adding it. */
    int add(int id) {
        String piece = pieces[id];
        long hash = hash(0, piece, 0, piece.length());
        int slot = slot(hash);
        while (slots[slot] != 0) {
            if (hashes[slot] == hash && pieces[slots[slot] - 1].equals(piece)) {
                return slots[slot] - 1;
            }
            slot = slot + 1 & slots.length - 1;
        }
        if (++count > slots.length / 2) {
            throw new IllegalStateException("more pieces than places");
        }
        slots[slot] = id + 1;
        hashes[slot] = hash;
        return -1;
    }

    int find(String text) {
        return find(text, 0, text.length());
    }

    int find(String text, int from, int to) {
        return find(hash(0, text, from, to), text, from, to, "", 0, 0);
    }

    int find(String left, int leftFrom, int leftTo, String right, int rightFrom, int rightTo) {
        return find(hash(hash(0, left, leftFrom, leftTo), right, rightFrom, rightTo), left, leftFrom, leftTo, right, rightFrom, rightTo);
    }

    /** The hash of a text whose hash is {@code hash}, with one character more at its end. */
    long append(long hash, char c) {
        return hash * base + c + 1;
    }

    /** The hash of a text whose hash is {@code hash}, with one character more at its front; {@code power} is base^length. */
    long prepend(char c, long power, long hash) {
        return (c + 1) * power + hash;
    }

    long base() {
        return base;
    }

    /** Looks a range up whose hash is known. */
    int find(long hash, String text, int from, int to) {
        return find(hash, text, from, to, "", 0, 0);
    }

    private int find(long hash, String left, int leftFrom, int leftTo, String right, int rightFrom, int rightTo) {
        int leftLength = leftTo - leftFrom;
        int rightLength = rightTo - rightFrom;
        for (int slot = slot(hash); slots[slot] != 0; slot = slot + 1 & slots.length - 1) {
            String piece = pieces[slots[slot] - 1];
            if (hashes[slot] == hash && piece.length() == leftLength + rightLength && piece.regionMatches(0, left, leftFrom, leftLength)
                    && piece.regionMatches(leftLength, right, rightFrom, rightLength)) {
                return slots[slot] - 1;
            }
        }
        return -1;
    }

    private long hash(long hash, String text, int from, int to) {
        for (int i = from; i < to; i++) {
            hash = append(hash, text.charAt(i));
        }
        return hash;
    }

    private int slot(long hash) {
        long mixed = (hash ^ hash >>> 32) * 0x9E3779B97F4A7C15L;
        return (int) (mixed >>> 40) & slots.length - 1 ^ (int) (mixed >>> 32) & slots.length - 1;
    }
}
