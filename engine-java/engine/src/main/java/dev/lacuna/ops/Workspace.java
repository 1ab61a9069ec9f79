package dev.lacuna.ops;

/** Owns all operands of one model, sized for its {@link Limits}; asked for outside {@link Ops#run} only. */
public interface Workspace extends AutoCloseable {
    Limits limits();

    /** A new activation of that width, with room for the packings of {@code policy}. */
    Act act(int cols, InputPolicy policy);

    Logits logits(int vocabulary);

    TopK topK(int k);

    /**
     * A new, empty set of rows.
     *
     * @throws UnsupportedKernelException if these kernels gather no rows
     */
    default RowSet rowSet(int capacity) {
        throw new UnsupportedKernelException("these kernels gather no rows");
    }

    /** Bytes allocated so far. */
    long bytes();

    /** Frees the operands; idempotent. */
    @Override
    void close();
}
