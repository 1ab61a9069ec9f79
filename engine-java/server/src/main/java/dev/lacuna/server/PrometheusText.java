package dev.lacuna.server;

import java.util.LinkedHashMap;
import java.util.Map;

/** Prometheus' text format, version 0.0.4: the values of a name stand together, whatever the order in which they are told. */
final class PrometheusText {
    private final Map<String, StringBuilder> families = new LinkedHashMap<>();
    private StringBuilder family = new StringBuilder();

    /** Values of this name follow. */
    void type(String name, String type, String help) {
        StringBuilder known = families.get(name);
        if (known == null) {
            known = new StringBuilder();
            known.append("# HELP ").append(name).append(' ').append(help).append('\n');
            known.append("# TYPE ").append(name).append(' ').append(type).append('\n');
            families.put(name, known);
        }
        family = known;
    }

    /** A value with its labels, names and values in turn. */
    void value(String name, double value, String... labels) {
        family.append(name);
        for (int i = 0; i < labels.length; i += 2) {
            family.append(i == 0 ? '{' : ',').append(labels[i]).append("=\"").append(escape(labels[i + 1])).append('"');
        }
        if (labels.length > 0) family.append('}');
        family.append(' ').append(number(value)).append('\n');
    }

    /** A family of one value. */
    void single(String name, String type, String help, double value, String... labels) {
        type(name, type, help);
        value(name, value, labels);
    }

    private static String escape(String label) {
        return label.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n");
    }

    static String number(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e15 ? Long.toString((long) value) : Double.toString(value);
    }

    @Override
    public String toString() {
        StringBuilder all = new StringBuilder();
        families.values().forEach(all::append);
        return all.toString();
    }
}
