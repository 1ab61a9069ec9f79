package dev.lacuna.generate;

/** Why a generation ended. */
public enum FinishReason {
    /** The model ended its text, or a stop string was met. */
    STOP,
    /** As many tokens as were allowed, or the context is full. */
    LENGTH,
    /** The caller cancelled, or the model was closed. */
    CANCELLED
}
