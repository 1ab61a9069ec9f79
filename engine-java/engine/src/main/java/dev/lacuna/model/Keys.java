package dev.lacuna.model;

import java.util.Optional;

/** Typed, range-checked access to a file's metadata under an architecture's prefix. */
record Keys(Reading file, String prefix) {

    ModelException bad(String key, String why) {
        return new ModelException(file.name() + ": " + prefix + key + " " + why);
    }

    Optional<Object> value(String key) {
        return Optional.ofNullable(file.key(prefix + key));
    }

    /** An integer within {@code [1, max]}. */
    int positive(String key, int max) {
        return integer(key, max).orElseThrow(() -> bad(key, "is missing"));
    }

    Optional<Integer> integer(String key, int max) {
        return value(key).map(v -> {
            if (!(v instanceof Long n)) throw bad(key, "is not an integer: " + v);
            if (n < 1 || n > max) throw bad(key, "is " + n + ", not within 1.." + max);
            return n.intValue();
        });
    }

    /** One integer for each layer: an array, or one number for all. */
    int[] perLayer(String key, int layers, int max) {
        Object v = value(key).orElseThrow(() -> bad(key, "is missing"));
        int[] out = new int[layers];
        for (int i = 0; i < layers; i++) {
            long n = switch (v) {
                case Long one -> one;
                case int[] a when a.length == layers -> a[i];
                case long[] a when a.length == layers -> a[i];
                default -> throw bad(key, "is neither a number nor " + layers + " of them, one for each layer");
            };
            if (n < 0 || n > max) throw bad(key, "of layer " + i + " is " + n + ", not within 0.." + max);
            out[i] = (int) n;
        }
        return out;
    }

    /** A finite number, above zero. */
    Optional<Double> real(String key) {
        return number(key).filter(d -> {
            if (d == 0) throw bad(key, "is 0, not a positive finite number");
            return true;
        });
    }

    /** A finite number, zero or above. */
    Optional<Double> number(String key) {
        return value(key).map(v -> {
            double d = switch (v) {
                case Double x -> x;
                case Long x -> (double) x;
                default -> throw bad(key, "is not a number: " + v);
            };
            if (!Double.isFinite(d) || d < 0) throw bad(key, "is " + d + ", not a positive finite number");
            return d;
        });
    }

    /** Yes or no. */
    Optional<Boolean> flag(String key) {
        return value(key).map(v -> {
            if (!(v instanceof Boolean b)) throw bad(key, "is neither true nor false: " + v);
            return b;
        });
    }

    Optional<String> text(String key) {
        return value(key).map(v -> {
            if (!(v instanceof String s)) throw bad(key, "is not a string: " + v);
            return s;
        });
    }

    boolean has(String key) {
        return file.key(prefix + key) != null;
    }
}
