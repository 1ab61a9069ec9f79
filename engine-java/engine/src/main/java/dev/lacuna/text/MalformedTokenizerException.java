package dev.lacuna.text;

import java.io.Serial;

/** A vocabulary that contradicts itself: a key is missing, has the wrong type or length, or holds a value out of range. */
public final class MalformedTokenizerException extends IllegalArgumentException {
    @Serial
    private static final long serialVersionUID = 1L;
    private final String key;

    MalformedTokenizerException(String key, String reason) {
        super(key + ": " + reason);
        this.key = key;
    }

    /** The metadata key at fault, for example {@code tokenizer.ggml.merges}. */
    public String key() {
        return key;
    }
}
