package dev.lacuna.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Where a block keeps some bits of each of its values. The first {@code run} values take the lowest bits of {@code run} successive bytes, the next
 * {@code run} values the bits above, until the bytes are full; then the same again behind them. Every GGUF packing is one plane or two.
 *
 * @param at   byte of the block at which the plane begins
 * @param bits bits of a value in this plane: 1, 2, 4 or 8
 * @param run  values, and bytes, that follow each other before the next bits are used
 */
record Plane(int at, int bits, int run) {
    private int index(int i) {
        return at + (i / span()) * run + i % run;
    }

    private int shift(int i) {
        return ((i % span()) / run) * bits;
    }

    private int span() {
        return run * 8 / bits;
    }

    int get(MemorySegment from, long block, int i) {
        int stored = from.get(ValueLayout.JAVA_BYTE, block + index(i));
        return (stored >> shift(i)) & ((1 << bits) - 1);
    }

    /** Adds bits to a block that was zero. */
    void put(MemorySegment to, long block, int i, int value) {
        long place = block + index(i);
        to.set(ValueLayout.JAVA_BYTE, place, (byte) (to.get(ValueLayout.JAVA_BYTE, place) | (value << shift(i))));
    }
}
