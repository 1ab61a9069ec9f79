package dev.lacuna.ops;

/** Scores {@code [logitRows x vocabulary]} in F32. */
public interface Logits {
    int vocabulary();
}
