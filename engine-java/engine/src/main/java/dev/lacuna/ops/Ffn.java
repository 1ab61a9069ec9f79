package dev.lacuna.ops;

/** A feed-forward block. */
public sealed interface Ffn {
    Activation activation();

    Linear down();

    /** {@code down(f(gate(x)) * up(x))}. */
    record Gated(Linear gate, Linear up, Linear down, Activation activation) implements Ffn {}

    /** {@code down(f(up(x)))}. */
    record Plain(Linear up, Linear down, Activation activation) implements Ffn {}
}
