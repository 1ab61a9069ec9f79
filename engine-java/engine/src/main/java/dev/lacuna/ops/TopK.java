package dev.lacuna.ops;

/** The best tokens of each row that asked for logits, {@code [logitRows x k]}, best first. */
public interface TopK {
    int k();
}
