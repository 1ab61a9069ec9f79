package dev.lacuna.files;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Strict, bounded JSON: no name twice in an object, 64 levels, numbers of 64 characters, and nothing behind the value. */
final class Json {
    private static final int DEEPEST = 64;
    private static final int LONGEST_NAME = 1 << 16;
    private static final int LONGEST_STRING = 16 << 20;
    private static final int LONGEST_NUMBER = 64;

    private static final JsonMapper MAPPER = JsonMapper.builder(factory()).build();

    private Json() {}

    /** A factory for one file: it remembers the names of what it reads, which should end with the file. */
    static JsonFactory factory() {
        return JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(DEEPEST).maxNameLength(LONGEST_NAME)
                        .maxStringLength(LONGEST_STRING).maxNumberLength(LONGEST_NUMBER).build())
                .build();
    }

    /**
     * A small file's value.
     *
     * @param most bytes; a larger file is refused
     * @throws ModelFileException if it cannot be read or is not that
     */
    static JsonNode read(Path file, int most) {
        return parse(file, bytes(file, most));
    }

    static JsonNode parse(Path file, byte[] json) {
        try {
            return MAPPER.readTree(json);
        } catch (JacksonException e) {
            throw malformed(file, e);
        }
    }

    static ModelFileException malformed(Path file, JacksonException e) {
        return new ModelFileException(file, "JSON", "is malformed: " + firstLine(e.getOriginalMessage()) + place(e), e);
    }

    private static String place(JacksonException e) {
        return e.getLocation() == null ? "" : " (line " + e.getLocation().getLineNr() + ", column " + e.getLocation().getColumnNr() + ")";
    }

    private static String firstLine(String message) {
        int end = message.indexOf('\n');
        return end < 0 ? message : message.substring(0, end);
    }

    static byte[] bytes(Path file, int most) {
        if (!Files.isRegularFile(file))
            throw new ModelFileException(file, "file", Files.exists(file) ? "is not a regular file" : "does not exist");
        try (InputStream in = Files.newInputStream(file)) {
            byte[] all = in.readNBytes(most);
            if (in.read() >= 0) throw new ModelFileException(file, "file", "is over the " + most + " bytes that are read");
            return all;
        } catch (IOException e) {
            throw new ModelFileException(file, "file", "cannot be read: " + e.getMessage(), e);
        }
    }

    /**
     * Adds an object's values as {@link ModelFile#metadata} has them, nested names joined with dots; nulls, and arrays that are not of numbers, strings
     * or booleans alone, are left out.
     */
    static void flatten(Path file, String prefix, JsonNode object, Map<String, Object> to) {
        object.properties().forEach(entry -> {
            String name = prefix + entry.getKey();
            JsonNode value = entry.getValue();
            if (value.isObject()) {
                flatten(file, name + ".", value, to);
                return;
            }
            Object plain = value.isArray() ? array(file, name, value) : scalar(file, name, value);
            if (plain != null && to.put(name, plain) != null)
                throw new ModelFileException(file, "key " + ModelFileException.quoted(name), "occurs twice");
        });
    }

    private static @Nullable Object scalar(Path file, String name, JsonNode value) {
        if (value.isString()) return value.stringValue();
        if (value.isBoolean()) return value.booleanValue();
        if (value.isIntegralNumber()) {
            if (!value.canConvertToLong())
                throw new ModelFileException(file, "key " + ModelFileException.quoted(name), "is over 63 bits: " + value);
            return value.longValue();
        }
        return value.isNumber() ? (Object) value.doubleValue() : null;
    }

    private static @Nullable Object array(Path file, String name, JsonNode array) {
        List<Object> plain = new ArrayList<>();
        for (JsonNode item : array) {
            Object value = scalar(file, name, item);
            if (value == null) return null;
            plain.add(value);
        }
        if (plain.stream().allMatch(String.class::isInstance)) return plain.toArray(String[]::new);
        if (plain.stream().allMatch(Long.class::isInstance)) return plain.stream().mapToLong(v -> (Long) v).toArray();
        if (plain.stream().allMatch(Number.class::isInstance)) return plain.stream().mapToDouble(v -> ((Number) v).doubleValue()).toArray();
        if (!plain.stream().allMatch(Boolean.class::isInstance)) return null;
        boolean[] flags = new boolean[plain.size()];
        for (int i = 0; i < flags.length; i++) flags[i] = (Boolean) plain.get(i);
        return flags;
    }
}
