package dev.lacuna.ops;

import dev.lacuna.tensor.Format;

/** A placed matrix {@code [rows x cols]}: opaque, immutable, alive until its {@link Ops} is closed. */
public interface Weight {
    int rows();

    int cols();

    Format format();

    /** The inputs it was placed for. */
    InputPolicy policy();

    /** Bytes that it occupies beside the tensor it was made of. */
    long bytes();
}
