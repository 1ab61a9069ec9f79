package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Batch;
import dev.lacuna.ops.RowSet;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** A set of rows outside the heap, and how it is chosen by scores. */
final class ChosenRows implements RowSet {
    private final int capacity;
    private final MemorySegment rows;
    private final float[] scores;
    private final boolean[] above;
    private int count;

    ChosenRows(int capacity, NativeMemory memory, Arena arena) {
        this.capacity = capacity;
        rows = memory.ints(capacity, arena);
        scores = new float[capacity];
        above = new boolean[capacity];
    }

    @Override
    public int capacity() {
        return capacity;
    }

    int count() {
        return count;
    }

    /** The chosen rows, as many as {@link #count}. */
    MemorySegment rows() {
        return rows;
    }

    int row(int i) {
        return rows.getAtIndex(ValueLayout.JAVA_INT, i);
    }

    long size() {
        return rows.byteSize();
    }

    void write(int[] chosen) {
        MemorySegment.copy(chosen, 0, rows, ValueLayout.JAVA_INT, 0, chosen.length);
        count = chosen.length;
    }

    int[] read() {
        int[] chosen = new int[count];
        MemorySegment.copy(rows, ValueLayout.JAVA_INT, 0, chosen, 0, count);
        return chosen;
    }

    /** Chooses the columns of which a row of the batch that is not padding is above the threshold. */
    void select(MemorySegment floats, int stride, Batch b, float threshold) {
        Arrays.fill(above, false);
        for (int r = 0; r < b.rows(); r++) {
            if (b.seq(r) < 0) continue;
            MemorySegment.copy(floats, ValueLayout.JAVA_FLOAT, (long) r * stride * Float.BYTES, scores, 0, capacity);
            for (int j = 0; j < capacity; j++) above[j] |= scores[j] > threshold;
        }
        count = 0;
        for (int j = 0; j < capacity; j++) {
            if (above[j]) rows.setAtIndex(ValueLayout.JAVA_INT, count++, j);
        }
    }
}
