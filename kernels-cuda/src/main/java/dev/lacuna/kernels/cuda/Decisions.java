package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Decision;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Use;
import dev.lacuna.tensor.Format;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Function;

/** Which kernel runs what, and why. */
final class Decisions {
    private final Set<Decision> all = new LinkedHashSet<>();

    /** What does not depend on formats. */
    void fixed() {
        add("addNorm", "F32", "add_norm", "residual, norms and packing in one");
        add("activate", "F32", "activate", "product and packing in one");
        add("topK", "F32", "argmax, top_k", "only ids leave the device");
    }

    /** @param tiles the kernel of products with many rows of an input */
    void placed(Format format, InputPolicy policy, Set<Use> uses, Function<Input, String> tiles) {
        if (uses.contains(Use.EMBED)) add("embed", format.name(), "embed_" + format, "rows are looked up in the panels");
        if (uses.contains(Use.COLUMNS)) add("columns", format.name(), "columns_" + format, "chosen rows, each one run of bytes");
        if (uses.contains(Use.ROWS)) {
            for (Input input : List.of(policy.fewRows(), policy.manyRows())) {
                add("rows", format + " x " + input, "rows_" + format + (input instanceof Input.I8 ? "_I8" : "_F32"),
                        "chosen rows, each one run of bytes");
            }
        }
        if (!uses.contains(Use.PRODUCT)) return;
        for (Input input : List.of(policy.fewRows(), policy.manyRows())) {
            String of = format + "_" + (input instanceof Input.I8 ? "I8" : "F32");
            String on = format + " x " + input;
            add("product, up to " + InputPolicy.FEW + " rows", on, "gemv_" + of, "each byte of the weight is read once");
            String kernel = tiles.apply(input);
            add("product, more rows", on, kernel, kernel.equals("gemm_" + of) ? dense(format, input) : "2:4 on sparse tensor cores");
            add("logits", on, "gemv_" + of, "the same bits in every step");
        }
    }

    private static String dense(Format format, Input input) {
        return "tiles of 64 rows x 64 outputs"
                + (format.kind() == Format.Kind.SPARSE && input instanceof Input.I8
                        ? "; sparse tensor cores need a driver for CUDA 12.5 or newer"
                        : "");
    }

    void cache(KvType type) {
        add("ropeAppend", type.name(), "rope_append_" + type, "head norms, rotation and packing in one");
        add("attend", type.name(), "attend_" + type, "split at fixed positions, so that a row's neighbours change nothing");
    }

    private void add(String op, String on, String kernel, String reason) {
        all.add(new Decision(op, on, "cuda, " + kernel, reason));
    }

    List<Decision> list() {
        return List.copyOf(all);
    }
}
