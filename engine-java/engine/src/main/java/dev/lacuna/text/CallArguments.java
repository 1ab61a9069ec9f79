package dev.lacuna.text;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Evaluated arguments of a call, read by place or name. */
record CallArguments(String callee, List<@Nullable Object> positional, Map<String, @Nullable Object> named, Budget budget) {
    /** Checks that there are not too many, and no name that is not known. */
    CallArguments allow(String... names) {
        if (positional.size() > names.length) {
            throw budget.fail(callee + " takes at most " + names.length + " arguments");
        }
        for (String name : named.keySet()) {
            int place = List.of(names).indexOf(name);
            if (place < 0 || place < positional.size()) {
                throw budget.fail(callee + " does not take an argument '" + name + "' here");
            }
        }
        return this;
    }

    boolean has(int place, String name) {
        return place < positional.size() || named.containsKey(name);
    }

    @Nullable
    Object get(int place, String name, @Nullable Object otherwise) {
        return place < positional.size() ? positional.get(place) : named.getOrDefault(name, otherwise);
    }

    @Nullable
    Object required(int place, String name) {
        if (!has(place, name)) {
            throw budget.fail(callee + " needs the argument '" + name + "'");
        }
        return get(place, name, null);
    }

    String string(int place, String name) {
        if (required(place, name) instanceof String text) {
            return text;
        }
        throw budget.fail(callee + " needs a string as '" + name + "'");
    }

    String string(int place, String name, String otherwise) {
        return get(place, name, null) == null ? otherwise : string(place, name);
    }

    long integer(int place, String name, long otherwise) {
        Object value = get(place, name, otherwise);
        if (value instanceof Long number) {
            return number;
        }
        if (value instanceof Boolean flag) {
            return flag ? 1 : 0;
        }
        throw budget.fail(callee + " needs an integer as '" + name + "'");
    }

    boolean flag(int place, String name, boolean otherwise) {
        return Values.truth(get(place, name, otherwise));
    }
}
