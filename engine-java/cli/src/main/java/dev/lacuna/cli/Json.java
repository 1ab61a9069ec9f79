package dev.lacuna.cli;

import java.io.PrintStream;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** Writes what {@code --json} asks for: one value, UTF-8, a line break at its end. */
final class Json {
    private Json() {}

    /** @param value maps, lists, records, strings, numbers, arrays */
    static void write(PrintStream out, Object value) {
        out.println(JsonMapper.builder().disable(SerializationFeature.INDENT_OUTPUT).build().writeValueAsString(value));
    }
}
