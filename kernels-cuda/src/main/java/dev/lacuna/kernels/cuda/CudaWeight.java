package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Weight;
import dev.lacuna.tensor.Format;

/**
 * A matrix in panels of 16 rows.
 *
 * @param tiles the kernel of its products with many rows
 */
record CudaWeight(long address, int rows, int cols, Format format, InputPolicy policy, String tiles, long bytes) implements Weight {
    /** The source whose kernels need what only newer drivers have. */
    static final String SPARSE = "sparse";

    /** The source that holds the kernels of its format. */
    String module() {
        return module(format);
    }

    /** The source that holds a kernel. */
    String module(String kernel) {
        return kernel.startsWith("gemm_sparse_") ? SPARSE : module();
    }

    /** Rows of a tile of its products with many rows: twice as many on dense tensor cores of 8 or 16 bits. */
    int tileRows() {
        return module(tiles).equals(SPARSE) || policy.manyRows() instanceof Input.F32 ? CudaOps.TILE : 2 * CudaOps.TILE;
    }

    static String module(Format format) {
        return "format_" + format.name();
    }
}
