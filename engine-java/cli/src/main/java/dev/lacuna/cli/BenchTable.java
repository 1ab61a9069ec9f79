package dev.lacuna.cli;

import java.io.PrintStream;
import java.lang.reflect.Array;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Prints rows as they come, so that an interrupted run keeps what it has; what has begun is a whole document after {@link #close}. */
final class BenchTable implements AutoCloseable {
    /** How rows are printed. */
    enum Style {
        MD, CSV, JSON, JSONL;

        static Style of(String name) {
            for (Style s : values()) {
                if (s.name().equals(name.toUpperCase(Locale.ROOT))) return s;
            }
            throw new Exit.UsageException("-o is md, csv, json or jsonl, not " + name);
        }
    }

    private final PrintStream out;
    private final Style style;
    private final String header;
    private boolean begun;
    private boolean closed;

    /** @param header told above a table for people */
    BenchTable(PrintStream out, Style style, String header) {
        this.out = out;
        this.style = style;
        this.header = header;
    }

    synchronized void add(BenchRow row) {
        if (closed) return;
        switch (style) {
            case MD -> {
                Map<String, String> columns = row.columns();
                if (!begun) {
                    out.println(header + "\n");
                    out.println("| " + String.join(" | ", columns.keySet()) + " |");
                    out.println("|" + " --- |".repeat(columns.size()));
                }
                out.println("| " + columns.values().stream().map(c -> c.replace("|", "\\|")).collect(Collectors.joining(" | ")) + " |");
            }
            case CSV -> {
                Map<String, @Nullable Object> fields = row.fields();
                if (!begun) out.println(String.join(",", fields.keySet()));
                List<String> cells = new ArrayList<>();
                fields.values().forEach(v -> cells.add(cell(v)));
                out.println(String.join(",", cells));
            }
            case JSON -> {
                out.print(begun ? ",\n" : "[\n");
                out.print(Json.text(row.fields()));
            }
            case JSONL -> out.println(Json.text(row.fields()));
        }
        out.flush();
        begun = true;
    }

    /** RFC 4180, all quoted as llama-bench does; several values with spaces between. */
    private static String cell(@Nullable Object v) {
        String text;
        if (v == null) {
            text = "";
        } else if (v.getClass().isArray()) {
            List<String> parts = new ArrayList<>();
            for (int i = 0; i < Array.getLength(v); i++) parts.add(String.valueOf(Array.get(v, i)));
            text = String.join(" ", parts);
        } else {
            text = v.toString();
        }
        return '"' + text.replace("\"", "\"\"") + '"';
    }

    @Override
    public synchronized void close() {
        if (closed) return;
        closed = true;
        if (begun && style == Style.JSON) out.println("\n]");
        out.flush();
    }
}
