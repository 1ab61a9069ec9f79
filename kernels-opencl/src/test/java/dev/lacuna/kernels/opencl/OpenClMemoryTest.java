package dev.lacuna.kernels.opencl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.DeviceMemoryException;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.RowSet;
import dev.lacuna.ops.UnsupportedKernelException;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is refused, and that everything that is taken is given back. */
class OpenClMemoryTest {
    private static final long MB = 1 << 20;

    private static Tensor tensor(Format format, int rows, int cols) {
        return new Tensor("blk.0.up.weight", format, rows, cols, Arena.ofAuto().allocate(format.bytes(rows, cols)));
    }

    private static OpenClOps open(long limit) {
        return new OpenClOps(OpenClTier.device(), limit);
    }

    @Test
    void weightsThatDoNotFitAreRefusedBeforeAnythingIsTaken() {
        try (OpenClOps ops = open(3 * MB)) {
            long before = DeviceMemory.live();
            DeviceMemoryException e = assertThrows(DeviceMemoryException.class,
                    () -> ops.place(List.of(tensor(Format.F16, 1024, 1024), tensor(Format.F16, 1024, 1024)), InputPolicy.F32,
                            Set.of(Use.PRODUCT)));
            assertTrue(e.getMessage().contains("blk.0.up.weight and 1 beside it (3 MB in Q8_0 would fit) needs 4 MB"), e.getMessage());
            assertEquals(before, DeviceMemory.live());
            assertEquals(3 * MB, ops.available().getAsLong());
            ops.place(List.of(tensor(Format.F16, 1024, 1024)), InputPolicy.F32, Set.of(Use.PRODUCT));
            assertEquals(MB, ops.available().getAsLong());
        }
    }

    @Test
    void aCacheThatDoesNotFitSaysWhatWould() {
        KvSpec spec = new KvSpec(new int[]{4, 0, 4}, 64, KvType.F32);
        try (OpenClOps ops = open(10 * spec.blockBytes())) {
            long before = DeviceMemory.live();
            DeviceMemoryException e = assertThrows(DeviceMemoryException.class, () -> ops.kv(spec, 11));
            assertTrue(e.getMessage().contains("a cache of 352 tokens (320 would fit)") && e.getMessage().contains("--kv int8"),
                    e.getMessage());
            assertEquals(before, DeviceMemory.live());
            KvPool pool = ops.kv(spec, 9);
            pool.close();
            pool.close();
            assertEquals(before, DeviceMemory.live());
        }
    }

    @Test
    void operandsThatDoNotFitAreRefused() {
        try (OpenClOps ops = open(MB); Workspace room = ops.workspace(new Limits(256, 1, 1, 1))) {
            DeviceMemoryException e = assertThrows(DeviceMemoryException.class, () -> room.act(2048, InputPolicy.F32));
            assertTrue(e.getMessage().contains("an activation of 256 x 2048") && e.getMessage().contains("needs 2 MB"), e.getMessage());
            DeviceMemoryException set = assertThrows(DeviceMemoryException.class, () -> room.rowSet(1 << 18));
            assertTrue(set.getMessage().contains("a set of 262144 rows"), set.getMessage());
        }
    }

    @Test
    void whatIsTakenIsGivenBack() {
        OpenClTier.device();
        long before = DeviceMemory.live();
        OpenClOps ops = open(64 * MB);
        ops.values(new float[]{1, 2, 3});
        ops.place(List.of(tensor(Format.Q4_0, 64, 64)), InputPolicy.I8, Set.of(Use.PRODUCT, Use.EMBED));
        KvPool pool = ops.kv(new KvSpec(new int[]{2}, 32, KvType.I8), 3);
        long placed = DeviceMemory.live();
        Workspace room = ops.workspace(new Limits(4, 1, 2, 1));
        long reserved = DeviceMemory.live();
        Act x = room.act(33, InputPolicy.F32);
        room.act(64, InputPolicy.I8);
        room.logits(100);
        room.topK(3);
        long sized = room.bytes();
        RowSet set = room.rowSet(99);
        assertEquals(400, room.bytes() - sized);
        assertTrue(DeviceMemory.live() > reserved && reserved > placed && placed > before);
        room.close();
        room.close();
        assertEquals(reserved, DeviceMemory.live());
        pool.close();
        ops.close();
        ops.close();
        assertEquals(before, DeviceMemory.live());
        for (Executable late : List.<Executable>of(() -> ops.values(new float[1]), () -> ops.kv(pool.spec(), 2), () -> pool.readKeys(0, 1),
                () -> pool.copyBlock(1, 2), () -> ops.read(x, 1), () -> ops.write(x, new float[33]),
                () -> ops.write(set, new int[]{1}), () -> ops.read(set), () -> ops.workspace(new Limits(99, 1, 1, 1)),
                () -> ops.place(List.of(tensor(Format.Q4_0, 64, 64)), InputPolicy.I8, Set.of(Use.PRODUCT)))) {
            assertThrows(IllegalStateException.class, late);
        }
    }

    @ParameterizedTest
    @CsvSource({"Q4_K, 256, Q4_1", "Q5_0, 32, Q8_0", "Q6_K, 256, Q8_0", "I8_GROUP_32, 32, Q8_0"})
    void aFormatWithoutKernelsIsRefused(String name, int cols, String instead) {
        Format format = Format.named(name).orElseThrow();
        try (OpenClOps ops = open(MB)) {
            assertFalse(ops.gathers().contains(format));
            for (Use use : Use.values()) {
                UnsupportedKernelException e = assertThrows(UnsupportedKernelException.class,
                        () -> ops.place(List.of(tensor(format, 2, cols)), InputPolicy.I8, Set.of(use)));
                for (String part : List.of("blk.0.up.weight is " + name, "I8/32", "--weights " + instead)) {
                    assertTrue(e.getMessage().contains(part), e.getMessage());
                }
            }
        }
    }

    /** The checks in front of the kernels refuse it too; the kernels do not count on them. */
    @Test
    void anInputWithoutKernelsIsRefused() {
        try (OpenClOps ops = open(MB)) {
            UnsupportedKernelException e = assertThrows(UnsupportedKernelException.class,
                    () -> ops.place(List.of(tensor(Format.F16, 2, 32)), new InputPolicy(Input.F32, Input.I8), Set.of(Use.PRODUCT)));
            assertTrue(e.getMessage().contains("F16 with inputs in I8/32") && e.getMessage().contains("--weights Q8_0"), e.getMessage());
        }
    }

    /** As floats they would be wrong numbers, and nobody would say so. */
    @ParameterizedTest
    @ValueSource(strings = {"BF16", "I8/64", "I8/128", "I8/row"})
    void inputsThatNoKernelReadsAreRefused(String name) {
        Input input = Stream.of(Input.BF16, new Input.I8(64), new Input.I8(128), new Input.I8(0)).filter(i -> i.toString().equals(name))
                .findFirst().orElseThrow();
        try (OpenClOps ops = open(MB); Workspace room = ops.workspace(new Limits(4, 1, 1, 1))) {
            long before = DeviceMemory.live();
            for (InputPolicy policy : List.of(new InputPolicy(input, Input.F32), new InputPolicy(Input.I8, input))) {
                for (Executable refused : List.<Executable>of(() -> room.act(64, policy),
                        () -> ops.place(List.of(tensor(Format.Q8_0, 2, 64)), policy, Set.of(Use.PRODUCT)))) {
                    UnsupportedKernelException e = assertThrows(UnsupportedKernelException.class, refused);
                    assertTrue(e.getMessage().contains("inputs in " + name + ", they read [F32, I8/32]")
                            && e.getMessage().contains("--activations f32 or i8"), e.getMessage());
                }
            }
            assertEquals(before, DeviceMemory.live());
        }
    }

    @Test
    void anErrorNamesTheCallAndItself() {
        Programs programs = Programs.of(OpenClTier.device());
        OpenClException e = assertThrows(OpenClException.class, () -> {
            try (Launch launch = new Launch(null, programs.of("", "rows"), "nobody")) {
                launch.begin();
            }
        });
        assertEquals("clCreateKernel of nobody failed: CL_INVALID_KERNEL_NAME", e.getMessage());
        assertEquals(-46, e.status());
        try (OpenClOps ops = open(MB); Workspace room = ops.workspace(new Limits(1, 1, 1, 1))) {
            Act x = room.act(32, InputPolicy.F32);
            IllegalArgumentException outside = assertThrows(IllegalArgumentException.class, () -> ops.read(x, 2));
            assertEquals("256 bytes at 0 of a buffer of 128", outside.getMessage());
        }
    }
}
