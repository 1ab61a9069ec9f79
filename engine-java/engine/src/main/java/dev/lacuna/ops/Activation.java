package dev.lacuna.ops;

/** Point-wise functions of feed-forward blocks. */
public enum Activation {
    /** {@code x / (1 + exp(-x))}. */
    SILU,
    /** {@code x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))}. */
    GELU_TANH,
    /** {@code x / 2 * (1 + erf(x / sqrt(2)))}. */
    GELU_ERF,
    /** {@code max(x, 0)}. */
    RELU
}
