package dev.lacuna.text;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The filters and tests of the template language: a closed list. */
final class Filters {
    private static final Set<String> ALONE = Set.of("safe", "string", "upper", "lower", "title", "capitalize", "escape", "e", "length",
            "count", "first",
            "last", "list", "items", "reverse", "abs");
    private static final Set<String> WITH_OTHER = Set.of("divisibleby", "in", "eq", "equalto", "==", "ne", "!=", "sameas", "lt", "lessthan",
            "<", "le",
            "<=", "gt", "greaterthan", ">", "ge", ">=");
    private final Budget budget;
    private final Values values;
    private final Methods methods;

    Filters(Budget budget, Values values, Methods methods) {
        this.budget = budget;
        this.values = values;
        this.methods = methods;
    }

    @Nullable
    Object apply(String name, @Nullable Object value, CallArguments arguments) {
        if (ALONE.contains(name)) {
            arguments.allow();
        }
        return switch (name) {
            case "safe" -> value;
            case "string" -> charged(values.text(value));
            case "trim" -> methods.strip(text(value), arguments, true, true);
            case "upper" -> charged(text(value)).toUpperCase(Locale.ROOT);
            case "lower" -> charged(text(value)).toLowerCase(Locale.ROOT);
            case "title" -> Methods.title(charged(text(value)));
            case "capitalize" -> Methods.capitalize(charged(text(value)));
            case "replace" -> methods.replace(text(value), arguments.allow("old", "new", "count"));
            case "indent" -> indent(text(value), arguments.allow("width", "first", "blank"));
            case "escape", "e" -> escape(charged(text(value)));
            case "tojson" -> json(value, arguments.allow("ensure_ascii", "indent", "separators", "sort_keys"));
            case "length", "count" -> length(value);
            case "default", "d" -> orDefault(value, arguments.allow("default_value", "boolean"));
            case "join" -> join(value, arguments.allow("d", "attribute"));
            case "first" -> edge(values.items(value), true);
            case "last" -> edge(values.items(value), false);
            case "list" -> values.items(value);
            case "items" -> value instanceof TemplateValue.Undefined ? new ArrayList<@Nullable Object>() : Methods.items(mapping(value));
            case "dictsort" -> dictsort(mapping(value), arguments.allow("case_sensitive", "by", "reverse"));
            case "map" -> map(value, arguments);
            case "select", "reject" -> select(value, null, arguments, 0, name.equals("select"));
            case "selectattr", "rejectattr" -> select(value, arguments.string(0, "attribute"), arguments, 1, name.equals("selectattr"));
            case "reverse" -> reverse(value);
            case "sort" -> sort(value, arguments.allow("reverse", "case_sensitive", "attribute"));
            case "unique" -> unique(value, arguments.allow("case_sensitive", "attribute"));
            case "min", "max" -> extreme(value, name.equals("max"), arguments.allow("case_sensitive", "attribute"));
            case "sum" -> sum(value, arguments.allow("attribute", "start"));
            case "int" -> integer(value, arguments.allow("default", "base"));
            case "float" -> real(value, arguments.allow("default"));
            case "abs" -> number(value) instanceof Long l ? (Object) Math.absExact(l) : Math.abs(Values.real(number(value)));
            case "round" -> round(Values.real(number(value)), arguments.allow("precision", "method"));
            default -> throw budget.fail("there is no filter '" + name + "' here");
        };
    }

    private String charged(String text) {
        budget.work(text.length());
        return text;
    }

    private String text(@Nullable Object value) {
        return values.text(value);
    }

    private Object number(@Nullable Object value) {
        if (value == null || !Values.isNumber(value)) {
            throw budget.fail("expected a number, found " + Values.kind(value));
        }
        return Values.number(value);
    }

    private Map<?, ?> mapping(@Nullable Object value) {
        if (value instanceof Map<?, ?> map) {
            budget.work(map.size());
            return map;
        }
        throw budget.fail("expected a mapping, found " + Values.kind(value));
    }

    private Object length(@Nullable Object value) {
        return switch (value) {
            case String text -> (long) charged(text).codePointCount(0, text.length());
            case List<?> list -> (long) list.size();
            case Map<?, ?> map -> (long) map.size();
            case TemplateValue.Undefined u -> 0L;
            case null, default -> throw budget.fail(Values.kind(value) + " has no length");
        };
    }

    private static @Nullable Object orDefault(@Nullable Object value, CallArguments arguments) {
        boolean missing = value instanceof TemplateValue.Undefined || (arguments.flag(1, "boolean", false) && !Values.truth(value));
        return missing ? arguments.get(0, "default_value", "") : value;
    }

    private String indent(String text, CallArguments arguments) {
        String pad;
        if (arguments.get(0, "width", 4L) instanceof String given) {
            pad = given;
        } else {
            long width = arguments.integer(0, "width", 4);
            budget.text(Math.max(0, width));
            pad = " ".repeat((int) Math.max(0, width));
        }
        boolean first = arguments.flag(1, "first", false);
        boolean blank = arguments.flag(2, "blank", false);
        StringBuilder out = new StringBuilder();
        boolean start = true;
        for (int from = 0; from <= text.length();) {
            int end = text.indexOf('\n', from);
            end = end < 0 ? text.length() : end;
            if (start ? first : blank || end > from) {
                out.append(pad);
            }
            out.append(text, from, end);
            if (end < text.length()) {
                out.append('\n');
            }
            budget.text(end - from + 1L + pad.length());
            budget.text(out.length() > Budget.TEXT ? out.length() : 0);
            start = false;
            from = end + 1;
        }
        return out.toString();
    }

    private String escape(String text) {
        budget.text(6L * text.length());
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;").replace("\"", "&#34;");
    }

    private String json(@Nullable Object value, CallArguments arguments) {
        long indent = arguments.get(1, "indent", null) == null ? -1 : arguments.integer(1, "indent", -1);
        if (indent > 64) {
            throw budget.fail("tojson indents by at most 64");
        }
        String item = indent < 0 ? ", " : ",";
        String key = ": ";
        if (arguments.get(2, "separators", null) instanceof List<?> pair) {
            if (pair.size() != 2 || !(pair.get(0) instanceof String first) || !(pair.get(1) instanceof String second)) {
                throw budget.fail("tojson needs two strings as separators");
            }
            item = first;
            key = second;
        }
        return values.json(value,
                new Values.Json((int) indent, item, key, arguments.flag(0, "ensure_ascii", false), arguments.flag(3, "sort_keys", false)));
    }

    private String join(@Nullable Object value, CallArguments arguments) {
        List<@Nullable Object> items = values.items(value);
        if (arguments.has(1, "attribute")) {
            String path = arguments.string(1, "attribute");
            items.replaceAll(item -> attribute(item, path));
        }
        return methods.join(items, values.text(arguments.get(0, "d", "")));
    }

    private static @Nullable Object edge(List<@Nullable Object> items, boolean first) {
        return items.isEmpty() ? new TemplateValue.Undefined(first ? "first" : "last") : first ? items.getFirst() : items.getLast();
    }

    private @Nullable Object attribute(@Nullable Object item, String path) {
        Object at = item;
        budget.work(path.length());
        for (String name : path.split("\\.", -1)) {
            at = switch (at) {
                case Map<?, ?> map when map.containsKey(name) -> map.get(name);
                case TemplateValue.Namespace namespace when namespace.attributes().containsKey(name) -> namespace.attributes().get(name);
                case List<?> list when name.matches("[0-9]{1,9}") && Integer.parseInt(name) < list.size() ->
                    list.get(Integer.parseInt(name));
                case null, default -> new TemplateValue.Undefined(name);
            };
        }
        return at;
    }

    /** As Python's select, reject and map: nothing gives nothing, whatever it is. */
    private List<@Nullable Object> itemsOrNone(@Nullable Object value) {
        return Values.truth(value) ? values.items(value) : new ArrayList<>();
    }

    private List<@Nullable Object> map(@Nullable Object value, CallArguments arguments) {
        List<@Nullable Object> items = itemsOrNone(value);
        budget.work(items.size());
        if (arguments.positional().isEmpty()) {
            arguments.allow("attribute", "default");
            String path = arguments.string(0, "attribute");
            items.replaceAll(item -> {
                Object found = attribute(item, path);
                return found instanceof TemplateValue.Undefined ? arguments.get(1, "default", found) : found;
            });
            return items;
        }
        String filter = arguments.string(0, "filter");
        CallArguments rest = rest(filter, arguments, 1);
        budget.enter(); // the filter can be map again
        items.replaceAll(item -> {
            budget.step();
            return apply(filter, item, rest);
        });
        budget.leave();
        return items;
    }

    private CallArguments rest(String callee, CallArguments arguments, int from) {
        List<@Nullable Object> positional = arguments.positional();
        return new CallArguments(callee, positional.subList(Math.min(from, positional.size()), positional.size()), arguments.named(),
                budget);
    }

    private List<@Nullable Object> select(@Nullable Object value, @Nullable String path, CallArguments arguments, int from, boolean keep) {
        List<@Nullable Object> items = itemsOrNone(value);
        String test = arguments.positional().size() > from ? arguments.string(from, "test") : null;
        CallArguments rest = rest(test == null ? "select" : test, arguments, from + 1);
        items.removeIf(item -> {
            budget.work(1);
            Object subject = path == null ? item : attribute(item, path);
            return keep != (test == null ? Values.truth(subject) : test(test, subject, rest));
        });
        return items;
    }

    private Object reverse(@Nullable Object value) {
        if (value instanceof String text) {
            return new StringBuilder(charged(text)).reverse().toString();
        }
        List<@Nullable Object> items = values.items(value);
        Collections.reverse(items);
        return items;
    }

    private Comparator<@Nullable Object> order(boolean caseSensitive, boolean reverse) {
        Comparator<@Nullable Object> order = (a, b) -> values.compare(folded(a, caseSensitive), folded(b, caseSensitive));
        return reverse ? order.reversed() : order;
    }

    private @Nullable Object folded(@Nullable Object value, boolean caseSensitive) {
        return value instanceof String text && !caseSensitive ? charged(text).toLowerCase(Locale.ROOT) : value;
    }

    private List<@Nullable Object> sort(@Nullable Object value, CallArguments arguments) {
        List<@Nullable Object> items = values.items(value);
        String path = arguments.has(2, "attribute") ? arguments.string(2, "attribute") : null;
        Comparator<@Nullable Object> order = order(arguments.flag(1, "case_sensitive", false), arguments.flag(0, "reverse", false));
        values.sort(items, (a, b) -> order.compare(path == null ? a : attribute(a, path), path == null ? b : attribute(b, path)));
        return items;
    }

    private List<@Nullable Object> dictsort(Map<?, ?> map, CallArguments arguments) {
        int by = switch (arguments.string(1, "by", "key")) {
            case "key" -> 0;
            case "value" -> 1;
            default -> throw budget.fail("dictsort sorts by 'key' or 'value'");
        };
        List<@Nullable Object> items = Methods.items(map);
        Comparator<@Nullable Object> order = order(arguments.flag(0, "case_sensitive", false), arguments.flag(2, "reverse", false));
        values.sort(items, (a, b) -> order.compare(a instanceof List<?> x ? x.get(by) : a, b instanceof List<?> y ? y.get(by) : b));
        return items;
    }

    private List<@Nullable Object> unique(@Nullable Object value, CallArguments arguments) {
        boolean caseSensitive = arguments.flag(0, "case_sensitive", false);
        String path = arguments.has(1, "attribute") ? arguments.string(1, "attribute") : null;
        List<@Nullable Object> seen = new ArrayList<>();
        List<@Nullable Object> unique = new ArrayList<>();
        for (Object item : values.items(value)) {
            Object key = folded(path == null ? item : attribute(item, path), caseSensitive);
            if (!values.contains(seen, key)) {
                seen.add(key);
                unique.add(item);
            }
        }
        return unique;
    }

    private @Nullable Object extreme(@Nullable Object value, boolean greatest, CallArguments arguments) {
        List<@Nullable Object> items = values.items(value);
        String path = arguments.has(1, "attribute") ? arguments.string(1, "attribute") : null;
        Comparator<@Nullable Object> order = order(arguments.flag(0, "case_sensitive", false), greatest);
        Object best = null;
        for (int i = 0; i < items.size(); i++) {
            Object item = items.get(i);
            if (i == 0 || order.compare(path == null ? item : attribute(item, path), path == null ? best : attribute(best, path)) < 0) {
                best = item;
            }
        }
        return items.isEmpty() ? new TemplateValue.Undefined("minimum or maximum") : best;
    }

    private Object sum(@Nullable Object value, CallArguments arguments) {
        Object total = number(arguments.get(1, "start", 0L));
        for (Object item : values.items(value)) {
            Object next = number(arguments.has(0, "attribute") ? attribute(item, arguments.string(0, "attribute")) : item);
            total = total instanceof Long x && next instanceof Long y
                    ? (Object) Math.addExact(x, y)
                    : Values.real(total) + Values.real(next);
        }
        return total;
    }

    private @Nullable Object integer(@Nullable Object value, CallArguments arguments) {
        Object otherwise = arguments.get(0, "default", 0L);
        long base = arguments.integer(1, "base", 10);
        if (base < 2 || base > 36) {
            throw budget.fail("int takes a base from 2 to 36");
        }
        if (value != null && Values.isNumber(value)) {
            return Values.number(value) instanceof Long l ? l : (Object) (long) Values.real(value);
        }
        if (!(value instanceof String text)) {
            return otherwise;
        }
        try {
            return Long.valueOf(charged(text).strip().replace("_", ""), (int) base);
        } catch (NumberFormatException notInteger) {
            Object real = toDouble(text);
            return real instanceof Double d && base == 10 ? (Object) d.longValue() : otherwise;
        }
    }

    private @Nullable Object real(@Nullable Object value, CallArguments arguments) {
        Object otherwise = arguments.get(0, "default", 0.0);
        if (value != null && Values.isNumber(value)) {
            return Values.real(value);
        }
        Object real = value instanceof String text ? toDouble(charged(text)) : null;
        return real == null ? otherwise : real;
    }

    private static @Nullable Object toDouble(String text) {
        String plain = text.strip();
        if (plain.length() > 64 || !plain.matches("[-+]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][-+]?[0-9]+)?")) {
            return null;
        }
        return Double.valueOf(plain);
    }

    private Object round(double value, CallArguments arguments) {
        long precision = arguments.integer(0, "precision", 0);
        if (precision < 0 || precision > 15) {
            throw budget.fail("round takes a precision from 0 to 15");
        }
        double power = Math.pow(10, (double) precision);
        return switch (arguments.string(1, "method", "common")) {
            case "common" -> Math.rint(value * power) / power;
            case "ceil" -> Math.ceil(value * power) / power;
            case "floor" -> Math.floor(value * power) / power;
            default -> throw budget.fail("round takes 'common', 'ceil' or 'floor'");
        };
    }

    boolean test(String name, @Nullable Object value, CallArguments arguments) {
        if (WITH_OTHER.contains(name)) {
            arguments.allow("other");
        } else {
            arguments.allow();
        }
        return switch (name) {
            case "defined" -> !(value instanceof TemplateValue.Undefined);
            case "undefined" -> value instanceof TemplateValue.Undefined;
            case "none" -> value == null;
            case "boolean" -> value instanceof Boolean;
            case "true" -> value instanceof Boolean b && b;
            case "false" -> value instanceof Boolean b && !b;
            case "string" -> value instanceof String;
            case "number" -> value != null && Values.isNumber(value);
            case "integer" -> value instanceof Long;
            case "float" -> value instanceof Double;
            case "mapping" -> value instanceof Map<?, ?>;
            case "sequence" -> value instanceof List<?> || value instanceof Map<?, ?> || value instanceof String;
            case "iterable" -> value instanceof List<?> || value instanceof Map<?, ?> || value instanceof String
                    || value instanceof TemplateValue.Undefined;
            case "callable" ->
                value instanceof TemplateValue.Macro || value instanceof TemplateValue.Function || value instanceof TemplateValue.Method;
            case "lower" -> charged(text(value)).equals(text(value).toLowerCase(Locale.ROOT));
            case "upper" -> charged(text(value)).equals(text(value).toUpperCase(Locale.ROOT));
            case "even" -> whole(value) % 2 == 0;
            case "odd" -> whole(value) % 2 != 0;
            case "divisibleby" -> whole(value) % divisor(arguments) == 0;
            case "in" -> values.contains(arguments.required(0, "other"), value);
            case "eq", "equalto", "==" -> values.equal(value, arguments.required(0, "other"));
            case "ne", "!=" -> !values.equal(value, arguments.required(0, "other"));
            case "sameas" ->
                same(value, arguments.required(0, "other"));
            case "lt", "lessthan", "<" -> values.compare(value, arguments.required(0, "other")) == -1;
            case "le", "<=" -> values.compare(value, arguments.required(0, "other")) <= 0;
            case "gt", "greaterthan", ">" -> values.compare(value, arguments.required(0, "other")) == 1;
            case "ge", ">=" -> List.of(0, 1).contains(values.compare(value, arguments.required(0, "other")));
            default -> throw budget.fail("there is no test '" + name + "' here");
        };
    }

    @SuppressWarnings("ReferenceEquality") // that is what the test asks
    private static boolean same(@Nullable Object a, @Nullable Object b) {
        return a instanceof Boolean flag ? flag.equals(b) : a == b;
    }

    private long whole(@Nullable Object value) {
        if (value instanceof Long number) {
            return number;
        }
        throw budget.fail("expected an integer, found " + Values.kind(value));
    }

    private long divisor(CallArguments arguments) {
        long divisor = whole(arguments.required(0, "other"));
        if (divisor == 0) {
            throw budget.fail("division by zero");
        }
        return divisor;
    }
}
