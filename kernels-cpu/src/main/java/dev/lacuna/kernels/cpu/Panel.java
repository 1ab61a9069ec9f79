package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Input;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The rows of an activation that a product reads, gathered into an array: C2 removes the bounds checks of array loops, not those of loops over native
 * memory, which would cost products half their speed.
 */
final class Panel {
    /** {@code [rows x stride]}. */
    float[] floats = new float[0];
    int rows;
    int stride;
    /** Whether weights are rounded to bfloat16 as the rows are. */
    boolean brain;

    void reserve(int maxRows, int maxStride) {
        int n = Math.multiplyExact(maxRows, maxStride);
        if (n > floats.length) floats = new float[n];
    }

    void begin(CpuAct x, int n) {
        rows = n;
        stride = x.stride();
        brain = x.packed() instanceof Input.Bf16;
    }

    void gather(CpuAct x, int row, int to) {
        MemorySegment.copy(x.floats(), ValueLayout.JAVA_FLOAT, (long) row * stride * Float.BYTES, floats, to * stride, stride);
    }
}
