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

/** Which kernel runs what, and why. */
final class Decisions {
    private final Set<Decision> all = new LinkedHashSet<>();

    /** What does not depend on formats. */
    void fixed() {
        add("addNorm", "F32", "add_norm", "residual, norms and packing in one");
        add("activate", "F32", "activate", "product and packing in one");
        add("topK", "F32", "argmax, top_k", "only ids leave the device");
    }

    /** @param tiles the kernel of products with many rows */
    void placed(Format format, InputPolicy policy, Set<Use> uses, String tiles) {
        if (uses.contains(Use.EMBED)) add("embed", format.name(), "embed_" + format, "rows are looked up in the panels");
        if (uses.contains(Use.COLUMNS)) add("columns", format.name(), "columns_" + format, "chosen rows, each one run of bytes");
        if (uses.contains(Use.ROWS)) {
            for (Input input : List.of(policy.fewRows(), policy.manyRows())) {
                add("rows", format + " x " + input, "rows_" + format + "_" + CudaOps.code(input),
                        "chosen rows, each one run of bytes");
            }
        }
        if (!uses.contains(Use.PRODUCT)) return;
        product("product, up to " + InputPolicy.FEW + " rows", format, policy.fewRows(), "gemv_", "each byte of the weight is read once");
        add("product, more rows", format + " x " + policy.manyRows(), tiles, tilesReason(format, policy.manyRows(), tiles));
        for (Input input : List.of(policy.fewRows(), policy.manyRows())) {
            product("logits", format, input, "gemv_", "the same bits in every step");
        }
    }

    private static String tilesReason(Format format, Input input, String tiles) {
        if (tiles.startsWith("gemm_sparse_")) return "2:4 on sparse tensor cores";
        return switch (input) {
            case Input.F32 f32 -> "tiles of 64 rows x 64 outputs; numbers in two for tensor cores of tf32";
            case Input.Bf16 bf16 -> "tiles of 128 rows x 64 outputs; weights unpacked for tensor cores of bfloat16"
                    + (format.kind() == Format.Kind.SPARSE ? "; sparse ones read 8 bits (--activations i8)" : "");
            case Input.I8 i8 -> "tiles of 128 rows x 64 outputs; 8-bit tensor cores, their sums scaled"
                    + (format.kind() == Format.Kind.SPARSE ? "; sparse ones need a driver for CUDA 12.5 or newer" : "");
        };
    }

    void cache(KvType type) {
        add("ropeAppend", type.name(), "rope_append_" + type, "head norms, rotation and packing in one");
        add("attend", type.name(), "attend_" + type, "split at fixed positions, so that a row's neighbours change nothing");
    }

    private void product(String op, Format format, Input input, String kernel, String reason) {
        add(op, format + " x " + input, kernel + format + "_" + CudaOps.code(input), reason);
    }

    private void add(String op, String on, String kernel, String reason) {
        all.add(new Decision(op, on, "cuda, " + kernel, reason));
    }

    List<Decision> list() {
        return List.copyOf(all);
    }
}
