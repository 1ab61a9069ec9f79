package dev.lacuna.server;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Reads an object field by field, each with its type and range. A null value is as good as none. */
final class Fields {
    private final JsonNode object;
    private final String at;
    private final Set<String> known = new HashSet<>();

    Fields(JsonNode object) {
        this(object, "");
    }

    private Fields(JsonNode object, String at) {
        this.object = object;
        this.at = at;
    }

    private String name(String field) {
        return at + field;
    }

    /** A value of any type. */
    @Nullable
    JsonNode any(String field) {
        known.add(field);
        JsonNode value = object.get(field);
        return value == null || value.isNull() ? null : value;
    }

    @Nullable
    String string(String field) {
        JsonNode value = any(field);
        if (value == null) return null;
        if (!value.isString()) throw wrong(field, "must be a string");
        return value.asString();
    }

    String required(String field) {
        String value = string(field);
        if (value == null) throw wrong(field, "is missing");
        return value;
    }

    @Nullable
    Boolean bool(String field) {
        JsonNode value = any(field);
        if (value == null) return null;
        if (!value.isBoolean()) throw wrong(field, "must be true or false");
        return value.booleanValue();
    }

    boolean bool(String field, boolean otherwise) {
        Boolean value = bool(field);
        return value == null ? otherwise : value;
    }

    @Nullable
    Long whole(String field, long min, long max) {
        JsonNode value = any(field);
        if (value == null) return null;
        if (!value.isIntegralNumber() || !value.canConvertToLong() || value.longValue() < min || value.longValue() > max) {
            throw wrong(field, "must be a whole number within " + min + ".." + max);
        }
        return value.longValue();
    }

    int whole(String field, int min, int max, int otherwise) {
        Long value = whole(field, min, max);
        return value == null ? otherwise : (int) (long) value;
    }

    double number(String field, double min, double max, double otherwise) {
        JsonNode value = any(field);
        if (value == null) return otherwise;
        if (!value.isNumber()) throw wrong(field, "must be a number");
        double d = value.doubleValue();
        if (!(d >= min && d <= max)) throw wrong(field, "must be within " + min + ".." + max);
        return d;
    }

    /** The objects of a list. */
    List<Fields> objects(String field, int most) {
        JsonNode value = any(field);
        if (value == null) throw wrong(field, "is missing");
        if (!value.isArray()) throw wrong(field, "must be a list");
        if (value.isEmpty()) throw wrong(field, "must not be empty");
        if (value.size() > most) throw wrong(field, "has " + value.size() + " entries; at most " + most + " are taken");
        List<Fields> all = new ArrayList<>();
        for (int i = 0; i < value.size(); i++) {
            String entry = name(field) + "[" + i + "]";
            if (!value.get(i).isObject()) throw ApiException.invalid(entry, entry + " must be an object");
            all.add(new Fields(value.get(i), entry + "."));
        }
        return all;
    }

    @Nullable
    Fields object(String field) {
        JsonNode value = any(field);
        if (value == null) return null;
        if (!value.isObject()) throw wrong(field, "must be an object");
        return new Fields(value, name(field) + ".");
    }

    /** Refuses a field that OpenAI or other servers know and this one does not, unless its value asks for nothing. */
    void unsupported(String field, Predicate<JsonNode> nothing) {
        JsonNode value = any(field);
        if (value == null || nothing.test(value)) return;
        throw ApiException.unsupported(name(field), name(field) + " is not supported yet");
    }

    /** Marks fields as known that change nothing here. */
    void accept(String... fields) {
        known.addAll(List.of(fields));
    }

    ApiException wrong(String field, String what) {
        return ApiException.invalid(name(field), name(field) + " " + what);
    }

    /** Fields that nobody asked for. */
    Set<String> unknown() {
        Set<String> unknown = new TreeSet<>();
        for (String field : object.propertyNames()) {
            if (!known.contains(field)) unknown.add(name(field));
        }
        return unknown;
    }
}
