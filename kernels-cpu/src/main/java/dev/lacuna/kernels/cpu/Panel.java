package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Input;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The rows of an activation that a product reads, gathered into arrays: C2 removes the bounds checks of array loops, not those of loops over native
 * memory, which costs products half their speed.
 */
final class Panel {
    /** Steps of at most this many rows multiply packed weights by bytes; more rows are worth the unpacking. */
    static final int INTEGER_ROWS = 2;

    /** Steps of at most this many rows keep them as they are; else blocks of {@link #ROWS} rows are transposed, {@code [stride x ROWS]}. */
    static final int FEW = 8;
    static final int ROWS = 64;
    /** Rows that are transposed at a time: a cache line of floats. */
    static final int LINE = 16;

    /** {@code [rows x stride]} or {@code [rows / ROWS x stride x ROWS]}. */
    float[] floats = new float[0];
    /** {@code [rows x stride]}, for steps of few rows. */
    byte[] q = new byte[0];
    /** {@code [rows x stride / 32]}. */
    float[] scale = new float[0];
    /** {@code [rows x stride / 32]}: scale times the block's sum. */
    float[] sum = new float[0];
    int rows;
    int stride;
    boolean integers;

    void reserve(int maxRows, int maxStride) {
        int n = Math.multiplyExact(maxRows <= FEW ? maxRows : (maxRows + ROWS - 1) / ROWS * ROWS, maxStride);
        if (n > floats.length) floats = new float[n];
        n = Math.min(maxRows, INTEGER_ROWS) * maxStride;
        if (n > q.length) {
            q = new byte[n];
            scale = new float[n / CpuAct.BLOCK];
            sum = new float[n / CpuAct.BLOCK];
        }
    }

    void begin(CpuAct x, int n) {
        rows = n;
        stride = x.stride();
        integers = n <= INTEGER_ROWS && x.packed() instanceof Input.I8;
    }

    boolean few() {
        return rows <= FEW;
    }

    /** Takes one of few rows. */
    void gather(CpuAct x, int row, int to) {
        MemorySegment.copy(x.floats(), ValueLayout.JAVA_FLOAT, (long) row * stride * Float.BYTES, floats, to * stride, stride);
        if (!integers) return;
        int blocks = stride / CpuAct.BLOCK;
        MemorySegment.copy(x.bytes(), ValueLayout.JAVA_BYTE, (long) row * stride, q, to * stride, stride);
        MemorySegment.copy(x.scales(), ValueLayout.JAVA_FLOAT, (long) row * blocks * Float.BYTES, scale, to * blocks, blocks);
        MemorySegment.copy(x.sums(), ValueLayout.JAVA_FLOAT, (long) row * blocks * Float.BYTES, sum, to * blocks, blocks);
    }

    /** Transposes up to {@link #LINE} of many rows, which begin a cache line. */
    void transpose(CpuAct x, RowOf from, int to, int n, float[] scratch) {
        for (int r = 0; r < n; r++) {
            MemorySegment.copy(x.floats(), ValueLayout.JAVA_FLOAT, (long) from.row(to + r) * stride * Float.BYTES, scratch, r * stride,
                    stride);
        }
        int first = to / ROWS * ROWS * stride + to % ROWS;
        for (int i = 0; i < stride; i++) {
            for (int r = 0; r < n; r++) floats[first + i * ROWS + r] = scratch[r * stride + i];
        }
    }

    /** Which row of an activation becomes row i. */
    interface RowOf {
        int row(int i);
    }
}
