package dev.lacuna.hub;

import java.io.Serial;
import org.jspecify.annotations.Nullable;

/** A model that could not be brought here. The message names every source that was tried, why each failed, and every way out. */
public final class ModelNotAvailableException extends RuntimeException {
    @Serial
    private static final long serialVersionUID = 1L;

    ModelNotAvailableException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
