package dev.lacuna.ops;

/** Gains, biases or a rotation table where the kernels are: opaque, immutable, alive until its {@link Ops} is closed. */
public interface Values {
    int size();
}
