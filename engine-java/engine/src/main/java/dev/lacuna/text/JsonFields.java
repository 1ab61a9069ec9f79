package dev.lacuna.text;

import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Typed, checked access to an object of tokenizer.json; the path names it in messages. */
record JsonFields(JsonNode node, String path) {
    JsonFields {
        if (!node.isObject()) {
            throw new MalformedTokenizerException(path.isEmpty() ? "tokenizer.json" : path, "must be an object");
        }
    }

    String key(String name) {
        return path.isEmpty() ? name : path + "." + name;
    }

    MalformedTokenizerException malformed(String name, String reason) {
        return new MalformedTokenizerException(key(name), reason);
    }

    /** A value, null where it is absent or null. */
    @Nullable
    JsonNode get(String name) {
        JsonNode value = node.get(name);
        return value == null || value.isNull() ? null : value;
    }

    @Nullable
    JsonFields object(String name) {
        JsonNode value = get(name);
        return value == null ? null : new JsonFields(value, key(name));
    }

    JsonFields requiredObject(String name) {
        JsonFields value = object(name);
        if (value == null) {
            throw malformed(name, "is missing");
        }
        return value;
    }

    /** An array, empty where it is absent. */
    Iterable<JsonNode> array(String name) {
        JsonNode value = get(name);
        if (value == null) {
            return java.util.List.of();
        }
        if (!value.isArray()) {
            throw malformed(name, "must be an array");
        }
        return value;
    }

    @Nullable
    String string(String name) {
        JsonNode value = get(name);
        if (value != null && !value.isString()) {
            throw malformed(name, "must be a string");
        }
        return value == null ? null : value.asString();
    }

    String requiredString(String name) {
        String value = string(name);
        if (value == null) {
            throw malformed(name, "is missing");
        }
        return value;
    }

    boolean flag(String name, boolean otherwise) {
        JsonNode value = get(name);
        if (value != null && !value.isBoolean()) {
            throw malformed(name, "must be true or false");
        }
        return value == null ? otherwise : value.asBoolean();
    }

    /** An integer of 0 to {@code most}. */
    int integer(JsonNode value, String name, int most) {
        if (!value.isIntegralNumber() || !value.canConvertToInt() || value.asInt() < 0 || value.asInt() > most) {
            throw malformed(name, "must be an integer from 0 to " + most);
        }
        return value.asInt();
    }

    static String shown(String text) {
        return text.length() > 80 ? text.substring(0, 80) + "..." : text;
    }
}
