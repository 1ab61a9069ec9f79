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

    /** {@code [rows x stride]}. */
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
        int n = Math.multiplyExact(maxRows, maxStride);
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

    void gather(CpuAct x, int row, int to) {
        MemorySegment.copy(x.floats(), ValueLayout.JAVA_FLOAT, (long) row * stride * Float.BYTES, floats, to * stride, stride);
        if (!integers) return;
        int blocks = stride / CpuAct.BLOCK;
        MemorySegment.copy(x.bytes(), ValueLayout.JAVA_BYTE, (long) row * stride, q, to * stride, stride);
        MemorySegment.copy(x.scales(), ValueLayout.JAVA_FLOAT, (long) row * blocks * Float.BYTES, scale, to * blocks, blocks);
        MemorySegment.copy(x.sums(), ValueLayout.JAVA_FLOAT, (long) row * blocks * Float.BYTES, sum, to * blocks, blocks);
    }
}
