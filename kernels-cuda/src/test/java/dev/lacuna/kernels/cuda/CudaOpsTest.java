package dev.lacuna.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Lacuna;
import dev.lacuna.MemoryException;
import dev.lacuna.Options;
import dev.lacuna.model.TinyLlama;
import dev.lacuna.ops.Act;
import dev.lacuna.ops.Activation;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.DeviceMemoryException;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.UnsupportedKernelException;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the backend is beyond its kernels: captured steps, memory that is refused or freed, what happens to bad use. */
class CudaOpsTest {
    private static final Limits LIMITS = new Limits(80, 1, 1, 1);

    @TempDir
    static Path folder;

    @AfterEach
    void nothingIsLeftAllocated() {
        System.clearProperty(Device.MEMORY);
        assertEquals(0, Device.live(), "allocations, modules and graphs that were not freed");
        assertEquals(0, CheckedOps.open());
    }

    private static Batch batch(int rows) {
        Batch b = new Batch(LIMITS);
        b.clear(1);
        b.addSequence(new int[]{1}, 1);
        for (int r = 0; r < rows; r++) b.addRow(0, 0, false);
        return b;
    }

    @Test
    void aStepIsRecordedOnceAndReplayedWithoutItsBody() {
        try (CudaOps ops = (CudaOps) CudaTier.open(); Workspace room = ops.workspace(LIMITS)) {
            Act x = room.act(2, InputPolicy.F32);
            Act y = room.act(2, InputPolicy.F32);
            AtomicInteger bodies = new AtomicInteger();
            for (int i = 1; i <= 3; i++) {
                ops.write(x, new float[]{i, -i});
                ops.run(Step.of(0, batch(1)), batch(1), () -> {
                    bodies.incrementAndGet();
                    ops.activate(Activation.RELU, x, null, y);
                });
                assertArrayEquals(new float[]{i, 0}, ops.read(y, 1));
            }
            assertEquals(1, bodies.get());
            assertEquals(1, ops.graphs().recorded());
            assertEquals(2, ops.graphs().replayed());
        }
    }

    @Test
    void onlyTheLatestStepsAreKept() {
        try (CudaOps ops = (CudaOps) CudaTier.open(); Workspace room = ops.workspace(LIMITS)) {
            Act x = room.act(2, InputPolicy.F32);
            Act y = room.act(2, InputPolicy.F32);
            ops.write(x, new float[160]);
            int before = 0;
            for (int n = 1; n <= Graphs.MOST + 9; n++) {
                ops.run(Step.of(0, batch(n)), batch(n), () -> ops.activate(Activation.RELU, x, null, y));
                if (n == Graphs.MOST) before = Device.live();
            }
            assertEquals(before, Device.live(), "older graphs were freed");
            assertEquals(Graphs.MOST + 9, ops.graphs().recorded());
            // the first went, the latest stayed
            ops.run(Step.of(0, batch(Graphs.MOST + 9)), batch(Graphs.MOST + 9), () -> ops.activate(Activation.RELU, x, null, y));
            assertEquals(1, ops.graphs().replayed());
            ops.run(Step.of(0, batch(1)), batch(1), () -> ops.activate(Activation.RELU, x, null, y));
            assertEquals(1, ops.graphs().replayed());
        }
    }

    @Test
    void whatDoesNotFitIsRefusedBeforeItIsUploaded() {
        CudaTier.name();
        System.setProperty(Device.MEMORY, "20000000");
        OpsOptions cuda = OpsOptions.DEFAULT.withBackend("cuda");
        try (Arena arena = Arena.ofConfined(); CheckedOps ops = Backends.find().open(cuda)) {
            Tensor big = new Tensor("blk.0.big", Format.F16, 4096, 4096, arena.allocate(4096 * 4096 * 2));
            DeviceMemoryException e = assertThrows(DeviceMemoryException.class,
                    () -> ops.place(List.of(big), InputPolicy.F32, EnumSet.of(Use.PRODUCT)));
            assertTrue(e.getMessage().contains("blk.0.big (4096 x 4096 in F16)") && e.getMessage().contains("--weights"), e.getMessage());
            KvSpec spec = new KvSpec(new int[]{8, 8}, 64, KvType.F16);
            DeviceMemoryException kv = assertThrows(DeviceMemoryException.class, () -> ops.kv(spec, 1000));
            assertTrue(kv.getMessage().contains("the cache of 31968 tokens in F16") && kv.getMessage().contains("--kv int8"),
                    kv.getMessage());
        }
    }

    @Test
    void aModelThatDoesNotFitSaysWhichContextWould() {
        CudaTier.name();
        System.setProperty(Device.MEMORY, "6000000");
        Options options = Options.DEFAULT.withBackend("cuda").withContext(20000).withKv(KvType.F32);
        Path model = new TinyLlama().write(folder, 3);
        MemoryException e = assertThrows(MemoryException.class, () -> Lacuna.open(model, options));
        assertTrue(e.getMessage().matches(".*the device has 6 MB free.* a context of \\d+ would fit \\(--ctx\\).*--backend cpu.*"),
                e.getMessage());
    }

    @Test
    void useAfterCloseIsAnException() {
        CudaOps ops = (CudaOps) CudaTier.open();
        Workspace room = ops.workspace(LIMITS);
        Act x = room.act(2, InputPolicy.F32);
        KvPool kv = ops.kv(new KvSpec(new int[]{1}, 8, KvType.F32), 3);
        kv.close();
        kv.close();
        room.close();
        room.close();
        ops.close();
        ops.close();
        assertThrows(IllegalStateException.class, () -> ops.read(x, 1));
        assertThrows(IllegalStateException.class, () -> ops.values(new float[1]));
        assertThrows(IllegalStateException.class, () -> ops.run(Step.of(0, batch(1)), batch(1), () -> {}));
    }

    @Test
    void operationsBelongIntoAStep() {
        try (CudaOps ops = (CudaOps) CudaTier.open(); Workspace room = ops.workspace(LIMITS)) {
            Act x = room.act(2, InputPolicy.F32);
            assertThrows(IllegalStateException.class, () -> ops.activate(Activation.RELU, x, null, x));
            assertThrows(IllegalStateException.class, () -> ops.run(Step.of(0, batch(1)), batch(1),
                    () -> ops.run(Step.of(0, batch(1)), batch(1), () -> {})));
        }
    }

    @Test
    void headsThatNoKernelTakesAreRefused() {
        try (CudaOps ops = (CudaOps) CudaTier.open()) {
            UnsupportedKernelException e = assertThrows(UnsupportedKernelException.class,
                    () -> ops.kv(new KvSpec(new int[]{1}, 512, KvType.F16), 3));
            assertTrue(e.getMessage().contains("512") && e.getMessage().contains("--backend cpu"), e.getMessage());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 64, 128})
    void otherScalesOfEightBitInputsAreRefused(int block) {
        Input.I8 input = new Input.I8(block);
        try (Arena arena = Arena.ofConfined(); CudaOps ops = (CudaOps) CudaTier.open(); Workspace room = ops.workspace(LIMITS)) {
            Tensor t = new Tensor("t", Format.Q8_0, 16, 64, arena.allocate(Format.Q8_0.bytes(16, 64)));
            InputPolicy policy = new InputPolicy(Input.BF16, input);
            long before = room.bytes();
            for (Executable use : List.<Executable>of(() -> ops.place(List.of(t), policy, EnumSet.of(Use.PRODUCT)),
                    () -> room.act(64, policy))) {
                UnsupportedKernelException e = assertThrows(UnsupportedKernelException.class, use);
                assertTrue(
                        e.getMessage().contains("inputs in " + input + ", they read [F32, BF16, I8/32]; use --activations f32, bf16 or i8"),
                        e.getMessage());
                assertTrue(e.getMessage().contains("--backend cpu"), e.getMessage());
            }
            assertEquals(before, room.bytes());
        }
    }

    /** What is rounded on the way up and what kernels round are the same bits, and the halves of a step's policy do not meet. */
    @Test
    void aPolicyOfTwoInputsKeepsBoth() {
        InputPolicy policy = new InputPolicy(Input.I8, Input.BF16);
        float[] v = {1 + 0x1p-9f, 1 + 0x1p-8f, 1 + 0x3p-8f, 0x1.fffffep127f, 1e-40f};
        float[] rounded = {1, 1, 1 + 0x4p-8f, Float.POSITIVE_INFINITY, Input.Bf16.round(1e-40f)};
        try (CudaOps ops = (CudaOps) CudaTier.open(); Workspace room = ops.workspace(LIMITS)) {
            Act from = room.act(5, InputPolicy.F32);
            Act many = room.act(5, policy);
            float[] rows = new float[9 * 5];
            for (int r = 0; r < 9; r++) System.arraycopy(v, 0, rows, 5 * r, 5);
            ops.write(from, rows);
            ops.run(Step.of(0, batch(9)), batch(9), () -> ops.activate(Activation.RELU, from, null, many));
            float[] seen = ops.read(many, 9);
            for (int i = 0; i < seen.length; i++) assertEquals(rounded[i % 5], seen[i], "value " + i);
            ops.write(from, new float[]{1, 0, 127, 0, 3});
            ops.run(Step.of(1, batch(1)), batch(1), () -> ops.activate(Activation.RELU, from, null, many));
            assertArrayEquals(new float[]{1, 0, 127, 0, 3}, ops.read(many, 1));
        }
    }

    /** Chips without HBM have fewer tensor operations of bfloat16 for each instruction that they issue. */
    @ParameterizedTest
    @CsvSource({"80, BF16", "86, I8/32", "87, I8/32", "89, I8/32", "90, BF16", "100, BF16", "103, BF16", "120, I8/32"})
    void manyRowsAreBfloatWhereThatIsFaster(int capability, String input) {
        assertEquals(Input.I8, CudaOps.inputs(capability).fewRows());
        assertEquals(input, CudaOps.inputs(capability).manyRows().toString());
    }

    @Test
    void decisionsNameTheKernels() {
        try (Arena arena = Arena.ofConfined(); CudaOps ops = (CudaOps) CudaTier.open()) {
            Tensor t = new Tensor("t", Format.Q4_1, 16, 64, arena.allocate(Format.Q4_1.bytes(16, 64)));
            assertFalse(ops.decisions().stream().anyMatch(d -> d.on().equals("Q4_1 x I8/32")));
            ops.place(List.of(t), InputPolicy.I8, EnumSet.of(Use.PRODUCT));
            assertTrue(ops.decisions().stream().anyMatch(d -> d.on().equals("Q4_1 x I8/32") && d.kernel().contains("gemv_Q4_1_I8")));
            assertTrue(ops.decisions().stream().anyMatch(d -> d.on().equals("Q4_1 x I8/32") && d.kernel().contains("gemm_Q4_1_I8")));
            assertFalse(ops.decisions().stream().anyMatch(d -> d.kernel().contains("BF16")));
            ops.place(List.of(t), ops.inputs(), EnumSet.of(Use.PRODUCT));
            assertTrue(ops.decisions().stream().anyMatch(d -> d.on().equals("Q4_1 x BF16") && d.kernel().contains("gemm_Q4_1_BF16")));
        }
    }
}
