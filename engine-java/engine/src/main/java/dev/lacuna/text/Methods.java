package dev.lacuna.text;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The methods that strings, lists and mappings have; none of them changes its object. */
final class Methods {
    private static final Set<String> STRING = Set.of("upper", "lower", "strip", "lstrip", "rstrip", "title", "capitalize", "startswith",
            "endswith",
            "split", "rsplit", "splitlines", "replace", "find", "rfind", "count", "join", "isdigit", "isalpha", "isalnum", "isspace",
            "isupper",
            "islower", "removeprefix", "removesuffix", "format");
    private static final Set<String> ALONE = Set.of("upper", "lower", "title", "capitalize", "splitlines", "isdigit", "isalpha", "isalnum",
            "isspace",
            "isupper", "islower");
    private static final Set<String> LIST = Set.of("index", "count");
    private static final Set<String> MAPPING = Set.of("get", "items", "keys", "values", "copy");
    private final Budget budget;
    private final Values values;

    Methods(Budget budget, Values values) {
        this.budget = budget;
        this.values = values;
    }

    static boolean has(@Nullable Object self, String name) {
        return switch (self) {
            case String s -> STRING.contains(name);
            case List<?> l -> LIST.contains(name);
            case Map<?, ?> m -> MAPPING.contains(name);
            case TemplateValue.Loop l -> name.equals("cycle");
            case null, default -> false;
        };
    }

    @Nullable
    Object call(TemplateValue.Method method, CallArguments arguments) {
        return switch (method.self()) {
            case String text -> string(text, method.name(), arguments);
            case List<?> list -> list(list, method.name(), arguments);
            case Map<?, ?> map -> mapping(map, method.name(), arguments);
            case TemplateValue.Loop loop -> arguments.positional().isEmpty()
                    ? new TemplateValue.Undefined("cycle")
                    : arguments.positional().get(loop.index() % arguments.positional().size());
            default -> throw budget.fail("cannot call " + method.name());
        };
    }

    private @Nullable Object mapping(Map<?, ?> map, String name, CallArguments arguments) {
        budget.work(name.equals("get") ? 1 : map.size());
        if (!name.equals("get")) {
            arguments.allow();
        }
        return switch (name) {
            case "get" -> {
                Object key = arguments.allow("key", "default").required(0, "key");
                yield Values.isKey(key) && map.containsKey(key) ? map.get(key) : arguments.get(1, "default", null);
            }
            case "items" -> items(map);
            case "keys" -> new ArrayList<@Nullable Object>(map.keySet());
            case "values" -> new ArrayList<@Nullable Object>(map.values());
            default -> new java.util.LinkedHashMap<@Nullable Object, @Nullable Object>(map);
        };
    }

    static List<@Nullable Object> items(Map<?, ?> map) {
        List<@Nullable Object> items = new ArrayList<>(map.size());
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            List<@Nullable Object> pair = new ArrayList<>(2);
            pair.add(entry.getKey());
            pair.add(entry.getValue());
            items.add(pair);
        }
        return items;
    }

    private Object list(List<?> list, String name, CallArguments arguments) {
        Object wanted = arguments.allow("value").required(0, "value");
        long count = 0;
        for (int i = 0; i < list.size(); i++) {
            if (values.equal(list.get(i), wanted)) {
                if (name.equals("index")) {
                    return (long) i;
                }
                count++;
            }
        }
        if (name.equals("index")) {
            throw budget.fail("the value is not in the list");
        }
        return count;
    }

    private @Nullable Object string(String text, String name, CallArguments arguments) {
        budget.work(text.length());
        if (ALONE.contains(name)) {
            arguments.allow();
        }
        return switch (name) {
            case "upper" -> text.toUpperCase(Locale.ROOT);
            case "lower" -> text.toLowerCase(Locale.ROOT);
            case "strip" -> strip(text, arguments, true, true);
            case "lstrip" -> strip(text, arguments, true, false);
            case "rstrip" -> strip(text, arguments, false, true);
            case "title" -> title(text);
            case "capitalize" -> capitalize(text);
            case "startswith", "endswith" -> hasEdge(text, name.equals("startswith"), arguments);
            case "split", "rsplit" -> split(text, name.equals("rsplit"), arguments.allow("sep", "maxsplit"));
            case "splitlines" -> new ArrayList<@Nullable Object>(text.lines().toList());
            case "replace" -> replace(text, arguments.allow("old", "new", "count"));
            case "find" -> place(text, text.indexOf(searched(text, arguments)));
            case "rfind" -> place(text, text.lastIndexOf(searched(text, arguments)));
            case "count" -> count(text, searched(text, arguments));
            case "join" -> join(values.items(arguments.allow("iterable").required(0, "iterable")), text);
            case "isdigit" -> !text.isEmpty() && text.codePoints().allMatch(Character::isDigit);
            case "isalpha" -> !text.isEmpty() && text.codePoints().allMatch(Character::isLetter);
            case "isalnum" -> !text.isEmpty() && text.codePoints().allMatch(Character::isLetterOrDigit);
            case "isspace" -> !text.isEmpty() && text.codePoints().allMatch(Methods::isSpace);
            case "isupper" -> text.equals(text.toUpperCase(Locale.ROOT)) && !text.equals(text.toLowerCase(Locale.ROOT));
            case "islower" -> text.equals(text.toLowerCase(Locale.ROOT)) && !text.equals(text.toUpperCase(Locale.ROOT));
            case "format" -> format(text, arguments);
            case "removeprefix" -> {
                String prefix = arguments.allow("prefix").string(0, "prefix");
                yield text.startsWith(prefix) ? text.substring(prefix.length()) : text;
            }
            default -> {
                String suffix = arguments.allow("suffix").string(0, "suffix");
                yield text.endsWith(suffix) ? text.substring(0, text.length() - suffix.length()) : text;
            }
        };
    }

    /** {@code '{} {0} {name}'.format(...)}, without attributes, items or format specifications. */
    private String format(String text, CallArguments arguments) {
        StringBuilder out = new StringBuilder();
        int next = 0;
        for (int at = 0; at < text.length(); at++) {
            char c = text.charAt(at);
            boolean doubled = at + 1 < text.length() && text.charAt(at + 1) == c;
            if (c != '{' && c != '}') {
                out.append(c);
            } else if (doubled) {
                out.append(c);
                at++;
            } else {
                int end = c == '{' ? text.indexOf('}', at) : -1;
                if (end < 0) {
                    throw budget.fail("format found a single '" + c + "'");
                }
                String field = text.substring(at + 1, end);
                int place = field.isEmpty() ? next++ : field.matches("[0-9]{1,4}") ? Integer.parseInt(field) : Integer.MAX_VALUE;
                String name = place == Integer.MAX_VALUE ? field : "argument " + place;
                String value = values.text(arguments.required(place, name));
                budget.text((long) out.length() + value.length());
                out.append(value);
                at = end;
            }
        }
        return out.toString();
    }

    private String searched(String text, CallArguments arguments) {
        String part = arguments.allow("sub").string(0, "sub");
        budget.search(text, part);
        return part;
    }

    private static Object place(String text, int at) {
        return at < 0 ? -1L : (long) text.codePointCount(0, at);
    }

    private static long count(String text, String part) {
        if (part.isEmpty()) {
            return text.codePointCount(0, text.length()) + 1L;
        }
        long count = 0;
        for (int at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length())) {
            count++;
        }
        return count;
    }

    static boolean isSpace(int c) {
        return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
    }

    String strip(String text, CallArguments arguments, boolean left, boolean right) {
        Object given = arguments.allow("chars").get(0, "chars", null);
        String set = given == null ? null : arguments.string(0, "chars");
        int from = 0;
        int to = text.length();
        budget.search(text, set == null ? "" : set);
        while (left && from < to && goes(text.codePointAt(from), set)) {
            from += Character.charCount(text.codePointAt(from));
        }
        while (right && to > from && goes(text.codePointBefore(to), set)) {
            to -= Character.charCount(text.codePointBefore(to));
        }
        return text.substring(from, to);
    }

    private static boolean goes(int codePoint, @Nullable String set) {
        return set == null ? isSpace(codePoint) : set.indexOf(codePoint) >= 0;
    }

    static String title(String text) {
        StringBuilder out = new StringBuilder(text.length());
        boolean inside = false;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            out.append(inside ? Character.toLowerCase(c) : Character.toTitleCase(c));
            inside = Character.isLetter(c);
        }
        return out.toString();
    }

    static String capitalize(String text) {
        return text.isEmpty() ? text : text.substring(0, 1).toUpperCase(Locale.ROOT) + text.substring(1).toLowerCase(Locale.ROOT);
    }

    private boolean hasEdge(String text, boolean start, CallArguments arguments) {
        Object given = arguments.allow("affix").required(0, "affix");
        List<?> affixes = given instanceof List<?> list ? list : List.of(arguments.string(0, "affix"));
        for (Object affix : affixes) {
            if (!(affix instanceof String part)) {
                throw budget.fail(arguments.callee() + " needs a string or strings");
            }
            if (start ? text.startsWith(part) : text.endsWith(part)) {
                return true;
            }
        }
        return false;
    }

    private List<@Nullable Object> split(String text, boolean fromRight, CallArguments arguments) {
        long limit = arguments.integer(1, "maxsplit", -1);
        List<@Nullable Object> parts = new ArrayList<>();
        if (arguments.get(0, "sep", null) == null) {
            splitAtSpace(text, limit, fromRight, parts);
            return parts;
        }
        String separator = arguments.string(0, "sep");
        if (separator.isEmpty()) {
            throw budget.fail("split needs a separator that is not empty");
        }
        budget.search(text, separator);
        if (fromRight) {
            int to = text.length();
            for (int at = text.lastIndexOf(separator); at >= 0 && limit != 0; at = to < separator.length()
                    ? -1
                    : text.lastIndexOf(separator, to - separator.length())) {
                parts.add(text.substring(at + separator.length(), to));
                to = at;
                limit--;
            }
            parts.add(text.substring(0, to));
            Collections.reverse(parts);
            return parts;
        }
        int from = 0;
        for (int at = text.indexOf(separator); at >= 0 && limit != 0; at = text.indexOf(separator, from)) {
            parts.add(text.substring(from, at));
            from = at + separator.length();
            limit--;
        }
        parts.add(text.substring(from));
        return parts;
    }

    private void splitAtSpace(String text, long limit, boolean fromRight, List<@Nullable Object> parts) {
        if (fromRight && limit >= 0) {
            throw budget.fail("rsplit with maxsplit needs a separator");
        }
        for (int at = 0;;) {
            while (at < text.length() && isSpace(text.charAt(at))) {
                at++;
            }
            if (at == text.length()) {
                return;
            }
            int to = at;
            while (to < text.length() && (limit == 0 || !isSpace(text.charAt(to)))) {
                to++;
            }
            parts.add(text.substring(at, to));
            limit--;
            at = to;
        }
    }

    String replace(String text, CallArguments arguments) {
        String old = arguments.string(0, "old");
        String replacement = arguments.string(1, "new");
        long limit = arguments.get(2, "count", null) == null ? -1 : arguments.integer(2, "count", -1);
        budget.search(text, old);
        long times = count(text, old);
        times = limit >= 0 ? Math.min(times, limit) : times;
        budget.text(text.length() + times * (replacement.length() - (long) old.length()));
        StringBuilder out = new StringBuilder();
        int from = 0;
        for (long i = 0; i < times; i++) {
            int at = text.indexOf(old, from);
            out.append(text, from, at).append(replacement);
            from = at + old.length();
            if (old.isEmpty() && from < text.length()) {
                int next = text.offsetByCodePoints(from, 1);
                out.append(text, from, next);
                from = next;
            }
        }
        return out.append(text, from, text.length()).toString();
    }

    String join(List<@Nullable Object> items, String separator) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < items.size(); i++) {
            String text = values.text(items.get(i));
            budget.text((long) text.length() + separator.length());
            out.append(i == 0 ? "" : separator).append(text);
            budget.text(out.length() > Budget.TEXT ? out.length() : 0);
        }
        return out.toString();
    }
}
