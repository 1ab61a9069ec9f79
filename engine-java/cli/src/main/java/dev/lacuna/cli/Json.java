package dev.lacuna.cli;

import java.io.PrintStream;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** Writes what {@code --json} asks for: one value, UTF-8, a line break at its end. */
final class Json {
    private Json() {}

    /** What a text says as JSON, or the text itself where it is none. */
    static Object value(String text) {
        try {
            return JsonMapper.shared().readValue(text, Object.class);
        } catch (JacksonException e) {
            return text;
        }
    }

    /** @param value maps, lists, records, strings, numbers, arrays */
    static void write(PrintStream out, Object value) {
        out.println(text(value));
    }

    /** One line. */
    static String text(Object value) {
        return JsonMapper.builder().disable(SerializationFeature.INDENT_OUTPUT).build().writeValueAsString(value);
    }
}
