package dev.lacuna.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Activation;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.Ffn;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.Qkv;
import dev.lacuna.ops.Rope;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;

/**
 * Products of few rows ask for no more sectors of 32 bytes than hold what they want: weights lie in the order in which warps read them, and so do the
 * inputs that the halves of a warp read together.
 */
class SectorsTest {
    private static final int OUTS = 128;
    private static final int COLS = 2048;

    static Stream<Arguments> products() {
        Stream<Arguments> bytes = Format.ALL.stream().filter(f -> !f.variable() && f.kind() != Format.Kind.FLOAT)
                .flatMap(f -> Stream.of(1, 3).map(rows -> Arguments.of(f, InputPolicy.I8, rows)));
        Stream<Arguments> floats = Stream.of(Format.F32, Format.F16, Format.BF16)
                .flatMap(f -> Stream.of(InputPolicy.F32, InputPolicy.BF16).map(in -> Arguments.of(f, in, 1)));
        return Stream.concat(bytes, floats);
    }

    @ParameterizedTest
    @MethodSource("products")
    void fewRowsAskForWholeSectors(Format format, InputPolicy policy, int rows) throws Throwable {
        try (Bench b = new Bench(format, policy, rows)) {
            Linear w = b.weight(OUTS, COLS);
            Act x = b.room.act(COLS, policy);
            Act y = b.room.act(OUTS, InputPolicy.F32);
            b.requireWhole("gemv_", () -> b.ops.linear(x, w, y));
        }
    }

    static Stream<Arguments> fused() {
        return Stream.of("Q4_1", "Q4_K", "Q6_K", "I4_GROUP_128").map(f -> Arguments.of(Format.named(f).orElseThrow(), InputPolicy.I8, 1));
    }

    @ParameterizedTest
    @MethodSource("fused")
    void fusedProductsDoToo(Format format, InputPolicy policy, int rows) throws Throwable {
        try (Bench b = new Bench(format, policy, rows);
                KvPool pool = b.ops.kv(new KvSpec(new int[]{1}, 64, KvType.F16), 2)) {
            Act x = b.room.act(COLS, policy);
            Act q = b.room.act(64, InputPolicy.F32);
            Act k = b.room.act(64, InputPolicy.F32);
            Act v = b.room.act(64, InputPolicy.F32);
            Qkv weights = new Qkv(b.weight(64, COLS), b.weight(64, COLS), b.weight(64, COLS));
            Rope rope = new Rope(b.ops.values(new float[64]), 64, 64, true);
            b.requireWhole("qkv_", () -> b.ops.qkv(x, weights, null, rope, pool, 0, q, k, v));
            Act g = b.room.act(256, InputPolicy.F32);
            Act u = b.room.act(256, InputPolicy.F32);
            Act hidden = b.room.act(256, policy);
            Act y = b.room.act(64, InputPolicy.F32);
            Ffn.Gated ffn = new Ffn.Gated(b.weight(256, COLS), b.weight(256, COLS), b.weight(64, 256), Activation.SILU);
            b.requireWhole("ffn_", () -> b.ops.ffn(x, ffn, g, u, hidden, y));
        }
    }

    private static final class Bench implements AutoCloseable {
        private static final double MOST = 1.01;
        final Arena arena = Arena.ofShared();
        final CudaOps ops = (CudaOps) CudaTier.open();
        final Format format;
        final InputPolicy policy;
        final Workspace room;
        final Batch batch;
        int program;

        Bench(Format format, InputPolicy policy, int rows) {
            this.format = format;
            this.policy = policy;
            Limits limits = new Limits(rows, 1, 1, 1);
            room = ops.workspace(limits);
            batch = new Batch(limits);
            batch.clear(1);
            batch.addSequence(new int[]{1}, 1);
            for (int r = 0; r < rows; r++) batch.addRow(0, r, false);
        }

        Linear weight(int outs, int cols) {
            Tensor t = new Tensor("w", Format.F32, outs, cols, arena.allocate(Format.F32.bytes(outs, cols))).as(format, arena);
            return new Linear(ops.place(List.of(t), policy, Set.of(Use.PRODUCT)).getFirst(), null);
        }

        /** Of the first kernel that runs. */
        void requireWhole(String kernel, Runnable body) throws Throwable {
            CostTable.counts();
            ops.run(Step.of(program++, batch), batch, body);
            JsonNode launch = CostTable.counts().getFirst();
            assertTrue(launch.get("kernel").asString().startsWith(kernel + format), launch.toString());
            JsonNode load = launch.get("global_load");
            JsonNode store = launch.get("global_store");
            double sectors = load.get("sectors").asDouble() + store.get("sectors").asDouble();
            double ideal = load.get("ideal_sectors").asDouble() + store.get("ideal_sectors").asDouble();
            System.out.printf(Locale.ROOT, "%s: sectors / ideal %.4f, warp instructions %d%n", launch.get("kernel").asString(),
                    sectors / ideal, launch.get("instructions").asLong() - launch.get("by_class").get("move").asLong());
            assertTrue(ideal > 0 && sectors / ideal <= MOST, launch.toString());
        }

        @Override
        public void close() {
            room.close();
            ops.close();
            arena.close();
        }
    }
}
