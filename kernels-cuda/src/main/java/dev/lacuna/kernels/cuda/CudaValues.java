package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Values;
import org.jspecify.annotations.Nullable;

/** Single-precision values, zeros after the last up to a multiple of 32. */
record CudaValues(long address, int size) implements Values {
    /** The address, or null where there are none. */
    static long of(@Nullable Values v) {
        return v == null ? 0 : ((CudaValues) v).address;
    }
}
