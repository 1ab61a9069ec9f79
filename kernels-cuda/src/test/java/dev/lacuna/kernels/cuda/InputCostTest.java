package dev.lacuna.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** What {@link CudaOps#inputs()} rests on: many rows need fewer instructions with bfloat16 inputs than with 8-bit ones. */
class InputCostTest {
    private static final int ROWS = 128;
    private static final int OUTS = 64;
    private static final int COLS = 2048;

    @ParameterizedTest
    @ValueSource(strings = {"Q4_0", "Q4_1", "Q4_K", "Q6_K"})
    void manyRowsNeedFewerInstructionsInBfloat16(String name) throws Throwable {
        CudaTier.name();
        Format format = Format.ALL.stream().filter(f -> f.name().equals(name)).findFirst().orElseThrow();
        double bytes = instructions(format, InputPolicy.I8);
        double bfloats = instructions(format, InputPolicy.BF16);
        System.out.printf(Locale.ROOT, "%s, warp instructions for 1,024 multiply-adds: I8/32 %.2f, BF16 %.2f%n", name, bytes, bfloats);
        assertTrue(bfloats < bytes, name + ": " + bfloats + " against " + bytes);
    }

    /** Of a warp, for 1,024 multiply-adds. */
    private static double instructions(Format format, InputPolicy policy) throws Throwable {
        Limits limits = new Limits(ROWS, 1, 1, 1);
        try (Arena arena = Arena.ofShared();
                CudaOps ops = (CudaOps) CudaTier.open();
                Workspace room = ops.workspace(limits)) {
            Batch batch = new Batch(limits);
            batch.clear(1);
            batch.addSequence(new int[]{1}, 1);
            for (int r = 0; r < ROWS; r++) batch.addRow(0, 0, false);
            Tensor t = new Tensor("w", format, OUTS, COLS, arena.allocate(format.bytes(OUTS, COLS)));
            Linear w = new Linear(ops.place(List.of(t), policy, Set.of(Use.PRODUCT)).getFirst(), null);
            Act x = room.act(COLS, policy);
            Act y = room.act(OUTS, InputPolicy.F32);
            CostTable.counts();
            ops.run(Step.of(0, batch), batch, () -> ops.linear(x, w, y));
            List<JsonNode> launches = CostTable.counts();
            assertEquals(1, launches.size());
            JsonNode product = launches.getFirst();
            long multiplyAdds = (long) ROWS * OUTS * COLS;
            assertTrue(product.get("dense_multiply_adds").asLong() >= multiplyAdds, "the tile's tensor-core operations: " + product);
            return product.get("instructions").asDouble() * 1024 / multiplyAdds;
        }
    }
}
