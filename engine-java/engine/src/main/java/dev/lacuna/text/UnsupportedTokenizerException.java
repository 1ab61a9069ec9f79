package dev.lacuna.text;

import java.io.Serial;
import java.util.Collection;

/** A tokenizer model or pre-tokenizer that is not known here. The message names it and lists what is supported. */
public final class UnsupportedTokenizerException extends RuntimeException {
    @Serial
    private static final long serialVersionUID = 1L;

    UnsupportedTokenizerException(String key, String value, Collection<String> supported) {
        super(key + " is \"" + value + "\", which is not supported; supported are " + String.join(", ", supported));
    }
}
