package dev.lacuna.benchmarks;

import dev.lacuna.ops.Input;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.tensor.Format;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Options of a measuring program: names with a value each, every one of which must be asked for. */
public final class Arguments {
    private final Map<String, String> given = new HashMap<>();

    /**
     * Takes names and values by turns.
     *
     * @throws IllegalArgumentException if an option has no value
     */
    public Arguments(String[] args) {
        if (args.length % 2 != 0) throw new IllegalArgumentException("options come with a value: " + Arrays.toString(args));
        for (int i = 0; i < args.length; i += 2) given.put(args[i], args[i + 1]);
    }

    /** A whole number, not less than the least. */
    public int number(String name, int otherwise, int least) {
        String v = given.remove(name);
        int n = v == null ? otherwise : Integer.parseInt(v);
        if (n < least) throw new IllegalArgumentException(name + " is at least " + least + ", not " + n);
        return n;
    }

    @Nullable
    String text(String name) {
        return given.remove(name);
    }

    List<Format> formats(String otherwise) {
        String v = given.remove("--formats");
        return Arrays.stream((v == null ? otherwise : v).split(",")).map(f -> Format.named(f)
                .orElseThrow(() -> new IllegalArgumentException("formats are " + Format.ALL + ", not " + f))).toList();
    }

    /** Inputs as the command line names them. */
    Input input(String otherwise) {
        String v = given.remove("--input");
        return named(v == null ? otherwise : v);
    }

    static Input named(String input) {
        return Input.named(input)
                .orElseThrow(() -> new IllegalArgumentException("inputs are f32, bf16, i8, i8/64, i8/128 and i8/row, not " + input));
    }

    /** Threads, tier and instruction set; strict. */
    OpsOptions kernels() {
        String tier = given.remove("--kernels");
        return new OpsOptions(number("--threads", 0, 0), tier == null ? "native" : tier, given.remove("--isa"), true);
    }

    /**
     * Ends the reading.
     *
     * @throws IllegalArgumentException if there was an option that nobody asked for
     */
    public void done() {
        if (!given.isEmpty()) throw new IllegalArgumentException("there is no option " + given.keySet());
    }
}
