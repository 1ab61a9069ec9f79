package dev.lacuna.files;

import static dev.lacuna.files.ModelFileException.quoted;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.BiFunction;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import tools.jackson.databind.JsonNode;

/**
 * Which modules are quantized, and how, as the Python package compressed-tensors matches them: a target is a module's name, a regular expression that the
 * name must begin to match ({@code re:...}), or the class of the module. Names win over expressions, expressions over classes, and among equals the first
 * in alphabetical order; what {@code ignore} matches in any of these ways is not quantized.
 *
 * @param <S> how a module is quantized
 */
final class QuantizationTargets<S> {
    private static final String EXPRESSION = "re:";
    private static final int LONGEST = 1000;
    private static final int MOST_STEPS = 1 << 26;
    private static final Pattern EMBEDDING = Pattern.compile("(?:.*\\.)?(?:embed_tokens|embed_positions|wte|wpe)");

    /** A target; without an expression it is a name or a class. */
    private record Target<S>(String text, Optional<Pattern> expression, S value) {}

    private final BiFunction<String, String, ModelFileException> refuse;
    private final Map<String, Target<S>> targets = new TreeMap<>(
            Comparator.comparing((String t) -> t.contains(EXPRESSION)).thenComparing(t -> t));
    private final List<Target<String>> ignored = new ArrayList<>();
    private int steps;

    /** @param refuse makes an exception of a key and a reason */
    QuantizationTargets(BiFunction<String, String, ModelFileException> refuse) {
        this.refuse = refuse;
    }

    void add(JsonNode targets, String key, S value) {
        for (String text : texts(targets, key)) this.targets.put(text, new Target<>(text, expression(text, key), value));
    }

    void ignore(JsonNode list, String key) {
        if (list.isMissingNode() || list.isNull()) return;
        for (String text : texts(list, key)) ignored.add(new Target<>(text, expression(text, key), text));
    }

    private List<String> texts(JsonNode list, String key) {
        if (!list.isArray()) throw refuse.apply(key, "is not a list of strings");
        List<String> texts = new ArrayList<>();
        for (JsonNode text : list) {
            if (!text.isString()) throw refuse.apply(key, "is not a list of strings");
            if (text.stringValue().length() > LONGEST) throw refuse.apply(key, "holds a string of more than " + LONGEST + " characters");
            texts.add(text.stringValue());
        }
        return texts;
    }

    private Optional<Pattern> expression(String text, String key) {
        if (!text.startsWith(EXPRESSION)) return Optional.empty();
        try {
            return Optional.of(Pattern.compile(text.substring(EXPRESSION.length())));
        } catch (PatternSyntaxException e) {
            throw refuse.apply(key, quoted(text) + " is not a regular expression: " + e.getDescription());
        }
    }

    /** What {@code ignore} has that matches the module, if anything. */
    Optional<String> ignored(String module) {
        return ignored.stream().filter(t -> names(t, module) || isClass(t, module)).map(Target::value).findFirst();
    }

    /** How the module is quantized if it is not ignored. */
    Optional<S> of(String module) {
        return targets.values().stream().filter(t -> names(t, module)).findFirst()
                .or(() -> targets.values().stream().filter(t -> isClass(t, module)).findFirst()).map(Target::value);
    }

    private boolean names(Target<?> target, String module) {
        try {
            return target.expression.map(e -> e.matcher(new Counted(module, 0, module.length())).lookingAt())
                    .orElse(target.text.equals(module));
        } catch (StackOverflowError e) {
            // Java's matcher calls itself for each turn of a group
            throw refuse.apply("config_groups", "has expressions that are too deep to match");
        }
    }

    private static boolean isClass(Target<?> target, String module) {
        return target.text.equals("Module") || target.text.equals(EMBEDDING.matcher(module).matches() ? "Embedding" : "Linear");
    }

    /** A name that stops an expression which takes too long: those of a file from anywhere may take exponential time. */
    private final class Counted implements CharSequence {
        private final String text;
        private final int from;
        private final int to;

        Counted(String text, int from, int to) {
            if (text.length() > LONGEST)
                throw refuse.apply("config_groups", "is matched with a name of more than " + LONGEST + " characters");
            this.text = text;
            this.from = from;
            this.to = to;
        }

        @Override
        public char charAt(int index) {
            if (++steps > MOST_STEPS) throw refuse.apply("config_groups", "has expressions that take too long to match");
            return text.charAt(from + index);
        }

        @Override
        public int length() {
            return to - from;
        }

        @Override
        public CharSequence subSequence(int start, int end) {
            return new Counted(text, from + start, from + end);
        }

        @Override
        public String toString() {
            return text.substring(from, to);
        }
    }
}
