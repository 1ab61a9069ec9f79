package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Weight;
import dev.lacuna.tensor.Format;

/** A matrix in panels of 16 rows. */
record CudaWeight(long address, int rows, int cols, Format format, InputPolicy policy, long bytes) implements Weight {
    /** The source that holds the kernels of its format. */
    String module() {
        return module(format);
    }

    static String module(Format format) {
        return "format_" + format.name();
    }
}
