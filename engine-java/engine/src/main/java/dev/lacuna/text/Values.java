package dev.lacuna.text;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What values mean to a template: truth, equality, order, text and JSON, all as in Python. */
final class Values {
    private final Budget budget;

    Values(Budget budget) {
        this.budget = budget;
    }

    /** A value from outside, copied; anything but plain data is refused. */
    @Nullable
    Object copy(@Nullable Object value, int level) {
        budget.nesting(level);
        budget.input(value instanceof CharSequence text ? text.length() : 0);
        return switch (value) {
            case null -> null;
            case Boolean b -> b;
            case Long l -> l;
            case Double d -> d;
            case Float f -> f.doubleValue();
            case Integer i -> i.longValue();
            case Short s -> s.longValue();
            case Byte b -> b.longValue();
            case CharSequence s -> s.toString();
            case List<?> list -> {
                List<@Nullable Object> copy = new ArrayList<>(list.size());
                for (Object item : list) {
                    copy.add(copy(item, level + 1));
                }
                yield copy;
            }
            case Map<?, ?> map -> {
                Map<Object, @Nullable Object> copy = new LinkedHashMap<>();
                for (Map.Entry<?, ?> entry : map.entrySet()) {
                    if (!(entry.getKey() instanceof String key)) {
                        throw budget.fail("variables may hold mappings with string keys only");
                    }
                    copy.put(key, copy(entry.getValue(), level + 1));
                }
                yield copy;
            }
            default -> throw budget.fail("a variable holds a " + value.getClass().getName() + "; only plain data can be given");
        };
    }

    static boolean truth(@Nullable Object value) {
        return switch (value) {
            case null -> false;
            case Boolean b -> b;
            case Long l -> l != 0;
            case Double d -> d != 0;
            case String s -> !s.isEmpty();
            case List<?> list -> !list.isEmpty();
            case Map<?, ?> map -> !map.isEmpty();
            case TemplateValue.Undefined u -> false;
            default -> true;
        };
    }

    static String kind(@Nullable Object value) {
        return switch (value) {
            case null -> "none";
            case Boolean b -> "a boolean";
            case Long l -> "an integer";
            case Double d -> "a float";
            case String s -> "a string";
            case List<?> list -> "a list";
            case Map<?, ?> map -> "a mapping";
            case TemplateValue.Undefined u -> "undefined ('" + u.name() + "')";
            case TemplateValue.Namespace n -> "a namespace";
            case TemplateValue.Loop l -> "a loop";
            default -> "a function";
        };
    }

    boolean equal(@Nullable Object a, @Nullable Object b) {
        return equal(a, b, 0);
    }

    private boolean equal(@Nullable Object a, @Nullable Object b, int level) {
        budget.nesting(level);
        budget.work(1);
        if (a == null || b == null) {
            return a == null && b == null;
        }
        if (a instanceof List<?> x && b instanceof List<?> y) {
            if (x.size() != y.size()) {
                return false;
            }
            for (int i = 0; i < x.size(); i++) {
                if (!equal(x.get(i), y.get(i), level + 1)) {
                    return false;
                }
            }
            return true;
        }
        if (a instanceof Map<?, ?> x && b instanceof Map<?, ?> y) {
            if (x.size() != y.size()) {
                return false;
            }
            for (Map.Entry<?, ?> entry : x.entrySet()) {
                if (!y.containsKey(entry.getKey()) || !equal(entry.getValue(), y.get(entry.getKey()), level + 1)) {
                    return false;
                }
            }
            return true;
        }
        if (a instanceof String x && b instanceof String y) {
            budget.work(Math.min(x.length(), y.length()));
            return x.equals(y);
        }
        if (isNumber(a) && isNumber(b)) {
            return order(a, b) == 0;
        }
        return a instanceof TemplateValue.Undefined && b instanceof TemplateValue.Undefined;
    }

    static boolean isNumber(@Nullable Object value) {
        return value instanceof Long || value instanceof Double || value instanceof Boolean;
    }

    static Object number(Object value) {
        return value instanceof Boolean b ? (Object) (b ? 1L : 0L) : value;
    }

    static double real(Object value) {
        return number(value) instanceof Long l ? (double) l : (Double) number(value);
    }

    private static int order(Object a, Object b) {
        if (number(a) instanceof Long x && number(b) instanceof Long y) {
            return Long.compare(x, y);
        }
        double x = real(a);
        double y = real(b);
        return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
    }

    /** Negative, zero or positive; 2 when one of them is not a number. */
    int compare(@Nullable Object a, @Nullable Object b) {
        if (a != null && b != null && isNumber(a) && isNumber(b)) {
            return order(a, b);
        }
        if (a instanceof String x && b instanceof String y) {
            budget.work(Math.min(x.length(), y.length()));
            return Integer.signum(x.compareTo(y));
        }
        throw budget.fail("cannot compare " + kind(a) + " with " + kind(b));
    }

    <T extends @Nullable Object> void sort(List<T> items, Comparator<? super T> order) {
        try {
            items.sort(order);
        } catch (IllegalArgumentException contradiction) {
            throw budget.fail("these values have no order"); // not-a-number among them
        }
    }

    boolean contains(@Nullable Object container, @Nullable Object value) {
        return switch (container) {
            case String text when value instanceof String part -> {
                budget.search(text, part);
                yield text.contains(part);
            }
            case List<?> list -> {
                boolean found = false;
                for (int i = 0; i < list.size() && !found; i++) {
                    found = equal(list.get(i), value);
                }
                yield found;
            }
            case Map<?, ?> map -> isKey(value) && map.containsKey(value);
            case TemplateValue.Undefined u -> false;
            case null, default -> throw budget.fail("cannot look for " + kind(value) + " in " + kind(container));
        };
    }

    static boolean isKey(@Nullable Object value) {
        return value == null || value instanceof String || isNumber(value);
    }

    /** The items to loop over. */
    List<@Nullable Object> items(@Nullable Object value) {
        return switch (value) {
            case List<?> list -> {
                budget.work(list.size());
                yield new ArrayList<>(list);
            }
            case Map<?, ?> map -> {
                budget.work(map.size());
                yield new ArrayList<>(map.keySet());
            }
            case String text -> {
                budget.work(text.length());
                List<@Nullable Object> characters = new ArrayList<>(text.length());
                text.codePoints().forEach(c -> characters.add(Character.toString(c)));
                yield characters;
            }
            case TemplateValue.Undefined u -> new ArrayList<>();
            case null, default -> throw budget.fail("cannot loop over " + kind(value));
        };
    }

    /** What a template prints. */
    String text(@Nullable Object value) {
        if (value instanceof String text) {
            return text;
        }
        if (value instanceof TemplateValue.Undefined) {
            return "";
        }
        StringBuilder out = new StringBuilder();
        represent(value, out, 0);
        return out.toString();
    }

    private void represent(@Nullable Object value, StringBuilder out, int level) {
        budget.nesting(level);
        budget.work(1);
        switch (value) {
            case null -> out.append("None");
            case Boolean b -> out.append(b ? "True" : "False");
            case Long l -> out.append(l);
            case Double d -> out.append(real(d, "inf", "nan"));
            case String s -> quote(s, out);
            case List<?> list -> {
                out.append('[');
                for (int i = 0; i < list.size(); i++) {
                    out.append(i == 0 ? "" : ", ");
                    represent(list.get(i), out, level + 1);
                }
                out.append(']');
            }
            case Map<?, ?> map -> {
                String separator = "{";
                for (Map.Entry<?, ?> entry : map.entrySet()) {
                    out.append(separator);
                    represent(entry.getKey(), out, level + 1);
                    out.append(": ");
                    represent(entry.getValue(), out, level + 1);
                    separator = ", ";
                }
                out.append(map.isEmpty() ? "{}" : "}");
            }
            case TemplateValue.Undefined u -> out.append("Undefined");
            default -> throw budget.fail("cannot print " + kind(value));
        }
        budget.text(out.length() > Budget.TEXT ? out.length() : 0);
    }

    private void quote(String text, StringBuilder out) {
        budget.work(text.length());
        char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
        out.append(quote);
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\\' -> out.append("\\\\");
                default -> {
                    if (c == quote) {
                        out.append('\\').append(c);
                    } else if (c < 32 || c == 127) {
                        out.append(String.format("\\x%02x", (int) c));
                    } else {
                        out.append(c);
                    }
                }
            }
        }
        out.append(quote);
    }

    private static String real(double value, String infinity, String notANumber) {
        if (Double.isNaN(value)) {
            return notANumber;
        }
        if (Double.isInfinite(value)) {
            return value < 0 ? "-" + infinity : infinity;
        }
        double magnitude = Math.abs(value);
        if (magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e16)) {
            String plain = new java.math.BigDecimal(Double.toString(value)).toPlainString();
            return plain.contains(".") ? plain : plain + ".0";
        }
        // 1.0E-5 -> 1e-05
        String[] parts = Double.toString(value).split("E", 2);
        int exponent = Integer.parseInt(parts[1]);
        String mantissa = parts[0].endsWith(".0") ? parts[0].substring(0, parts[0].length() - 2) : parts[0];
        return mantissa + (exponent < 0 ? "e-" : "e+") + (Math.abs(exponent) < 10 ? "0" : "") + Math.abs(exponent);
    }

    /** How {@code tojson} writes: as json.dumps with ensure_ascii off. */
    record Json(int indent, String itemSeparator, String keySeparator, boolean ascii, boolean sorted) {}

    String json(@Nullable Object value, Json format) {
        StringBuilder out = new StringBuilder();
        json(value, format, out, 0);
        return out.toString();
    }

    private void json(@Nullable Object value, Json format, StringBuilder out, int level) {
        budget.nesting(level);
        budget.work(1);
        switch (value) {
            case null -> out.append("null");
            case Boolean b -> out.append(b);
            case Long l -> out.append(l);
            case Double d -> out.append(real(d, "Infinity", "NaN"));
            case String s -> jsonString(s, format.ascii, out);
            case List<?> list -> {
                out.append('[');
                for (int i = 0; i < list.size(); i++) {
                    separate(i == 0, format, out, level + 1);
                    json(list.get(i), format, out, level + 1);
                }
                close(list.isEmpty(), ']', format, out, level);
            }
            case Map<?, ?> map -> {
                out.append('{');
                List<Map.Entry<?, ?>> entries = new ArrayList<>(map.entrySet());
                if (format.sorted) {
                    sort(entries, (x, y) -> compare(x.getKey(), y.getKey()));
                }
                boolean first = true;
                for (Map.Entry<?, ?> entry : entries) {
                    separate(first, format, out, level + 1);
                    first = false;
                    jsonString(entry.getKey() instanceof String key ? key : json(entry.getKey(), format), format.ascii, out);
                    out.append(format.keySeparator);
                    json(entry.getValue(), format, out, level + 1);
                }
                close(map.isEmpty(), '}', format, out, level);
            }
            default -> throw budget.fail("cannot write " + kind(value) + " as JSON");
        }
        budget.text(out.length() > Budget.TEXT ? out.length() : 0);
    }

    private void separate(boolean first, Json format, StringBuilder out, int level) {
        out.append(first ? "" : format.itemSeparator);
        newline(format, out, level);
    }

    private void close(boolean empty, char bracket, Json format, StringBuilder out, int level) {
        if (!empty) {
            newline(format, out, level);
        }
        out.append(bracket);
    }

    private void newline(Json format, StringBuilder out, int level) {
        if (format.indent >= 0) {
            long spaces = (long) format.indent * level;
            budget.text(spaces);
            out.append('\n').repeat(' ', (int) spaces);
        }
    }

    private void jsonString(String text, boolean ascii, StringBuilder out) {
        budget.work(text.length());
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\b' -> out.append("\\b");
                case '\f' -> out.append("\\f");
                default -> {
                    if (c < 32 || (ascii && c > 126)) {
                        out.append(String.format("\\u%04x", (int) c));
                    } else {
                        out.append(c);
                    }
                }
            }
        }
        out.append('"');
    }
}
