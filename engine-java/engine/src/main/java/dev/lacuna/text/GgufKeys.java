package dev.lacuna.text;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Typed, checked access to {@code tokenizer.ggml.*} of a GGUF file's metadata. */
record GgufKeys(Map<String, Object> metadata) {
    static final String PREFIX = "tokenizer.ggml.";

    @Nullable
    String string(String name) {
        return get(name, String.class, "a string");
    }

    String requiredString(String name) {
        return required(name, string(name));
    }

    String[] requiredStrings(String name) {
        return required(name, get(name, String[].class, "an array of strings"));
    }

    int @Nullable [] ints(String name) {
        return get(name, int[].class, "an array of integers of at most 32 bits");
    }

    float[] requiredFloats(String name) {
        return required(name, get(name, float[].class, "an array of 32-bit floats"));
    }

    boolean flag(String name, boolean otherwise) {
        Boolean value = get(name, Boolean.class, "a boolean");
        return value == null ? otherwise : value;
    }

    /** A token id, -1 when the key is absent. */
    int id(String name, int size) {
        Long value = get(name, Long.class, "an integer");
        if (value == null) {
            return -1;
        }
        if (value < 0 || value >= size) {
            throw new MalformedTokenizerException(PREFIX + name, "token id " + value + " is outside the vocabulary of " + size + " tokens");
        }
        return Math.toIntExact(value);
    }

    private <T> T required(String name, @Nullable T value) {
        if (value == null) {
            throw new MalformedTokenizerException(PREFIX + name, "is missing");
        }
        return value;
    }

    private <T> @Nullable T get(String name, Class<T> type, String wanted) {
        Object value = metadata.get(PREFIX + name);
        if (value == null) {
            return null;
        }
        if (!type.isInstance(value)) {
            throw new MalformedTokenizerException(PREFIX + name, "must be " + wanted + ", found " + value.getClass().getSimpleName());
        }
        return type.cast(value);
    }
}
