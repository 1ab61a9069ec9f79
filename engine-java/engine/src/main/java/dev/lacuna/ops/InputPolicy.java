package dev.lacuna.ops;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * The input of a product for each row class, so that decode and prefill may differ; tests pin one.
 *
 * @param fewRows  for steps of at most {@link #FEW} rows
 * @param manyRows for larger steps
 */
public record InputPolicy(Input fewRows, Input manyRows) {
    /** The largest step that counts as few rows. */
    public static final int FEW = 8;

    public static final InputPolicy F32 = pinned(Input.F32);
    public static final InputPolicy BF16 = pinned(Input.BF16);
    public static final InputPolicy I8 = pinned(Input.I8);

    public static InputPolicy pinned(Input input) {
        return new InputPolicy(input, input);
    }

    /** This policy; F32 in the place of 8-bit inputs where a float format is among the weights, since packing would lose and gain nothing. */
    public InputPolicy fit(List<Tensor> weights) {
        if (weights.stream().noneMatch(t -> t.format().kind() == Format.Kind.FLOAT)) return this;
        return new InputPolicy(fewRows.takesFloats() ? fewRows : Input.F32, manyRows.takesFloats() ? manyRows : Input.F32);
    }

    /** Whether weights of float formats take both inputs. */
    boolean takesFloats() {
        return fewRows.takesFloats() && manyRows.takesFloats();
    }

    /**
     * Refuses inputs that kernels do not read.
     *
     * @param what    is read or multiplied so, in words that an error can begin with
     * @param kernels whose they are, in a word
     * @param known   what they read
     * @throws UnsupportedKernelException if this policy has another input
     */
    public void require(String what, String kernels, List<Input> known) {
        for (Input input : List.of(fewRows, manyRows)) {
            if (known.contains(input)) continue;
            String options = known.stream().map(i -> i.equals(Input.I8) ? "i8" : i.toString().toLowerCase(Locale.ROOT))
                    .collect(Collectors.joining(", ")).replaceFirst(", ([^,]*)$", " or $1");
            throw new UnsupportedKernelException(
                    "%s: no %s kernel reads inputs in %s, they read %s; use --activations %s, or other kernels "
                            .formatted(what, kernels, input, known, options) + "(--backend cpu)");
        }
    }

    /** The input of a step of that many rows. */
    public Input of(int rows) {
        return rows <= FEW ? fewRows : manyRows;
    }

    @Override
    public String toString() {
        return fewRows.equals(manyRows) ? fewRows.toString() : fewRows + " (up to " + FEW + " rows), " + manyRows;
    }
}
