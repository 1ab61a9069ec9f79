package dev.lacuna.generate;

import org.jspecify.annotations.Nullable;

/** A generation that could not be finished. */
public final class GenerationException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public GenerationException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
