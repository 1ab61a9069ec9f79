package dev.lacuna.text;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Arithmetic, comparison and slicing, as in Python; integers have 64 bits and overflow is an error. */
final class Operators {
    private final Budget budget;
    private final Values values;

    Operators(Budget budget, Values values) {
        this.budget = budget;
        this.values = values;
    }

    Object unary(String operator, @Nullable Object value) {
        if (operator.equals("not")) {
            return !Values.truth(value);
        }
        if (value == null || !Values.isNumber(value)) {
            throw budget.fail("'" + operator + "' needs a number, found " + Values.kind(value));
        }
        Object number = Values.number(value);
        if (operator.equals("+")) {
            return number;
        }
        return number instanceof Long l ? (Object) Math.negateExact(l) : -Values.real(number);
    }

    Object binary(String operator, @Nullable Object left, @Nullable Object right) {
        if (operator.equals("~")) {
            return concatenate(values.text(left), values.text(right));
        }
        if (left instanceof String a && right instanceof String b && operator.equals("+")) {
            return concatenate(a, b);
        }
        if (left instanceof List<?> a && right instanceof List<?> b && operator.equals("+")) {
            budget.work(a.size() + (long) b.size());
            List<@Nullable Object> joined = new ArrayList<>(a);
            joined.addAll(b);
            return joined;
        }
        if (left instanceof String text && right instanceof Long times && operator.equals("*")) {
            long repeats = text.isEmpty() ? 0 : Math.max(0, times);
            budget.text(Math.multiplyExact(repeats, text.length()));
            return text.repeat((int) repeats);
        }
        if (left == null || right == null || !Values.isNumber(left) || !Values.isNumber(right)) {
            throw budget.fail("'" + operator + "' cannot be applied to " + Values.kind(left) + " and " + Values.kind(right));
        }
        if (Values.number(left) instanceof Long a && Values.number(right) instanceof Long b && !operator.equals("/")) {
            return whole(operator, a, b);
        }
        return real(operator, Values.real(left), Values.real(right));
    }

    private String concatenate(String left, String right) {
        budget.text((long) left.length() + right.length());
        return left + right;
    }

    private Object whole(String operator, long a, long b) {
        return switch (operator) {
            case "+" -> Math.addExact(a, b);
            case "-" -> Math.subtractExact(a, b);
            case "*" -> Math.multiplyExact(a, b);
            case "//" -> Math.floorDivExact(a, divisor(b));
            case "%" -> Math.floorMod(a, divisor(b));
            default -> b < 0 ? real(operator, a, b) : (Object) power(a, b);
        };
    }

    private static long power(long base, long exponent) {
        if (base == 0 || base == 1) {
            return exponent == 0 ? 1 : base;
        }
        if (base == -1) {
            return exponent % 2 == 0 ? 1 : -1;
        }
        long result = 1;
        for (long i = 0; i < exponent; i++) {
            result = Math.multiplyExact(result, base); // at most 63 turns before it overflows
        }
        return result;
    }

    private long divisor(long value) {
        if (value == 0) {
            throw budget.fail("division by zero");
        }
        return value;
    }

    private double real(String operator, double a, double b) {
        if (b == 0 && (operator.equals("/") || operator.equals("//") || operator.equals("%"))) {
            throw budget.fail("division by zero");
        }
        return switch (operator) {
            case "+" -> a + b;
            case "-" -> a - b;
            case "*" -> a * b;
            case "/" -> a / b;
            case "//" -> Math.floor(a / b);
            case "%" -> a - b * Math.floor(a / b);
            default -> Math.pow(a, b);
        };
    }

    boolean compare(String operator, @Nullable Object left, @Nullable Object right) {
        return switch (operator) {
            case "==" -> values.equal(left, right);
            case "!=" -> !values.equal(left, right);
            case "in" -> values.contains(right, left);
            case "not in" -> !values.contains(right, left);
            case "<" -> values.compare(left, right) == -1;
            case "<=" -> values.compare(left, right) <= 0;
            case ">" -> values.compare(left, right) == 1;
            default -> {
                int order = values.compare(left, right);
                yield order == 0 || order == 1;
            }
        };
    }

    Object character(String text, long at) {
        budget.work(text.length());
        long length = text.codePointCount(0, text.length());
        long place = at < 0 ? at + length : at;
        if (place < 0 || place >= length) {
            return new TemplateValue.Undefined("item " + at);
        }
        return Character.toString(text.codePointAt(text.offsetByCodePoints(0, (int) place)));
    }

    Object slice(@Nullable Object value, @Nullable Object from, @Nullable Object to, @Nullable Object step) {
        if (!(value instanceof String || value instanceof List<?>)) {
            throw budget.fail("cannot slice " + Values.kind(value));
        }
        List<@Nullable Object> items = values.items(value);
        long size = items.size();
        long by = step == null ? 1 : bound(step);
        if (by == 0) {
            throw budget.fail("a slice needs a step that is not zero");
        }
        long begin = from == null ? by > 0 ? 0 : size - 1 : clamp(bound(from), size, by);
        long end = to == null ? by > 0 ? size : -1 : clamp(bound(to), size, by);
        List<@Nullable Object> part = new ArrayList<>();
        for (long i = begin; by > 0 ? i < end : i > end;) {
            part.add(items.get((int) i));
            if (by > 0 ? end - i <= by : i - end <= -by) {
                break;
            }
            i += by;
        }
        if (!(value instanceof String)) {
            return part;
        }
        StringBuilder text = new StringBuilder();
        for (Object character : part) {
            text.append(character);
        }
        return text.toString();
    }

    private long bound(Object value) {
        if (value instanceof Long number) {
            return number;
        }
        throw budget.fail("a slice needs integers, found " + Values.kind(value));
    }

    private static long clamp(long at, long size, long by) {
        long place = at < 0 ? Math.max(at + size, -1) : Math.min(at, size);
        return by > 0 ? Math.max(place, 0) : Math.min(place, size - 1);
    }
}
