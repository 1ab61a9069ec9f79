package dev.lacuna.ops;

/** What a placed weight is used for. */
public enum Use {
    /** Rows are looked up by token. */
    EMBED,
    /** Multiplied with activations. */
    PRODUCT
}
