package dev.lacuna.text;

import java.util.SplittableRandom;

/** From a pair of neighbouring ids to the rank of their merge (lower merges first) and the id it makes. Open addressing, two longs an entry. */
final class MergeTable {
    static final int NONE = Integer.MAX_VALUE;
    private static final long FREE = -1;
    private final long[] table; // pair, rank << 32 | id
    private final long multiplier = new SplittableRandom().nextLong() | 1;
    private final int shift;

    MergeTable(int merges) {
        int bits = 33 - Integer.numberOfLeadingZeros(Math.max(4, merges));
        table = new long[Math.multiplyExact(2, Math.toIntExact(1L << bits))];
        for (int i = 0; i < table.length; i += 2) {
            table[i] = FREE;
        }
        shift = 64 - bits;
    }

    /** Adds a merge; the first of a pair's merges counts. At most as many as the constructor was told. */
    void add(int left, int right, int rank, int id) {
        long pair = pair(left, right);
        int slot = slot(pair);
        while (table[slot] != FREE) {
            if (table[slot] == pair) {
                return;
            }
            slot = slot + 2 & table.length - 1;
        }
        table[slot] = pair;
        table[slot + 1] = (long) rank << 32 | id;
    }

    /** {@code rank << 32 | id}; the rank is {@link #NONE} when the two do not merge. */
    long merge(int left, int right) {
        long pair = pair(left, right);
        for (int slot = slot(pair);; slot = slot + 2 & table.length - 1) {
            if (table[slot] == pair) {
                return table[slot + 1];
            }
            if (table[slot] == FREE) {
                return (long) NONE << 32;
            }
        }
    }

    private static long pair(int left, int right) {
        return (long) left << 32 | right;
    }

    private int slot(long pair) {
        return (int) ((pair ^ pair >>> 29) * multiplier >>> shift) << 1;
    }
}
