package dev.lacuna.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Checkout;
import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import dev.lacuna.generate.Sampling;
import dev.lacuna.ops.Act;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.Decision;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.Ops;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.UnsupportedKernelException;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Weight;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Two of each four weights: which kernels meet them, at what cost, and what is refused. That their sums are right is the conformance suite's. */
class SparseWeightsTest {
    private static final int ROWS = 70;
    private static final Limits LIMITS = new Limits(ROWS, 1, 1, 1);

    static Stream<Format> twoOfFour() {
        return Stream.of(Format.I8_24, Format.i4TwoOfFour(64), Format.i4TwoOfFour(128));
    }

    private static Tensor tensor(Format format, int rows, int cols, Arena arena) {
        Tensor plain = new Tensor("blk.0.up", Format.F32, rows, cols, arena.allocate(Format.F32.bytes(rows, cols), 4));
        Random random = new Random(7);
        for (long i = 0; i < (long) rows * cols; i++) plain.data().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
        return plain.as(format, arena);
    }

    /** The products of that many rows with a placed weight. */
    private static float[] product(Ops ops, Weight w, int rows) {
        try (Workspace room = ops.workspace(LIMITS)) {
            Act x = room.act(w.cols(), w.policy());
            Act y = room.act(w.rows(), InputPolicy.F32);
            float[] v = new float[rows * w.cols()];
            Random random = new Random(11);
            for (int i = 0; i < v.length; i++) v[i] = (float) random.nextGaussian();
            ops.write(x, v);
            Batch b = new Batch(LIMITS);
            b.clear(1);
            b.addSequence(new int[]{1}, 1);
            for (int r = 0; r < rows; r++) b.addRow(0, 0, false);
            ops.run(Step.of(0, b), b, () -> ops.linear(x, new Linear(w, null), y));
            return ops.read(y, rows);
        }
    }

    /** What the emulated device counted since this was last asked. */
    private static List<JsonNode> counts() throws Throwable {
        var handle = Linker.nativeLinker().downcallHandle(
                SymbolLookup.libraryLookup("libcuda.so.1", Arena.ofAuto()).find("lacunaEmulatorCounts").orElseThrow(),
                FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG));
        try (Arena arena = Arena.ofConfined()) {
            long size = (long) handle.invokeExact(MemorySegment.NULL, 0L);
            MemorySegment text = arena.allocate(size + 1);
            assertEquals(size, (long) handle.invokeExact(text, size + 1));
            return text.getString(0).lines().filter(l -> !l.isBlank()).map(l -> JsonMapper.shared().readTree(l)).toList();
        }
    }

    /** The bound of the argued cost is 2 % of the accesses. */
    @ParameterizedTest
    @MethodSource("twoOfFour")
    void manyRowsRunOnSparseTensorCoresWithoutBankConflicts(Format format) throws Throwable {
        try (Arena arena = Arena.ofShared(); Ops ops = CudaTier.open()) {
            Weight w = ops.place(List.of(tensor(format, 130, 555, arena)), InputPolicy.I8, EnumSet.of(Use.PRODUCT)).getFirst();
            counts();
            product(ops, w, ROWS);
            List<JsonNode> launches = counts();
            assertEquals(List.of("gemm_sparse_" + format + "_I8"), launches.stream().map(l -> l.get("kernel").asString()).toList());
            JsonNode l = launches.getFirst();
            assertTrue(l.get("sparse_multiply_adds").asLong() > 0 && l.get("shared_accesses").asLong() > 0, l::toString);
            assertTrue(50 * l.get("bank_conflicts").asLong() <= l.get("shared_accesses").asLong(),
                    () -> l.get("bank_conflicts") + " conflicts in " + l.get("shared_accesses") + " accesses");
            assertTrue(ops.decisions().stream()
                    .anyMatch(d -> d.on().equals(format + " x I8/32") && d.kernel().endsWith("gemm_sparse_" + format + "_I8")
                            && d.reason().contains("sparse tensor cores")),
                    () -> ops.decisions().toString());
        }
    }

    static Stream<Arguments> kernelsOfManyRows() {
        return twoOfFour().flatMap(f -> Stream.of(Arguments.of(f, Input.I8, "gemm_sparse_" + f + "_I8"),
                Arguments.of(f, Input.BF16, "gemm_" + f + "_BF16"), Arguments.of(f, Input.F32, "gemm_" + f + "_F32")));
    }

    /** Tiles differ in their rows; more rows than the smaller ones have, of columns that end within a group. */
    @ParameterizedTest
    @MethodSource("kernelsOfManyRows")
    void everyRowOfManyIsInATile(Format format, Input input, String kernel) throws Throwable {
        CudaTier.name();
        float[][] products = new float[2][];
        for (String kernels : List.of("plain", CudaProvider.CUDA)) {
            try (Arena arena = Arena.ofShared(); Ops ops = Backends.find().open(new OpsOptions(2, kernels, false))) {
                Weight w = ops.place(List.of(tensor(format, 130, 555, arena)), InputPolicy.pinned(input), EnumSet.of(Use.PRODUCT))
                        .getFirst();
                counts();
                products[kernels.equals("plain") ? 0 : 1] = product(ops, w, ROWS);
                List<String> launched = counts().stream().map(l -> l.get("kernel").asString()).toList();
                assertEquals(kernels.equals("plain") ? List.of() : List.of(kernel), launched);
            }
        }
        for (int r = 0; r < ROWS; r++) {
            double error = 0;
            double power = 0;
            for (int i = r * 130; i < (r + 1) * 130; i++) {
                error += Math.pow(products[0][i] - (double) products[1][i], 2);
                power += Math.pow(products[0][i], 2);
            }
            assertTrue(power > 0 && error <= 1e-9 * power, "row " + r + ", NMSE " + error / power);
        }
    }

    /** Says what a driver does that is too old for sparse tensor cores, in a process of its own, since the emulated driver reads its age once. */
    static final class OldDriver {
        private OldDriver() {}

        public static void main(String[] args) {
            try (Arena arena = Arena.ofShared(); Ops ops = CudaTier.open()) {
                for (Format f : twoOfFour().toList()) {
                    Weight w = ops.place(List.of(tensor(f, 66, 99, arena)), InputPolicy.I8, EnumSet.of(Use.PRODUCT)).getFirst();
                    for (float v : product(ops, w, ROWS)) System.out.println("y " + v);
                }
                for (Decision d : ops.decisions()) System.out.println(d.op() + ": " + d.kernel() + ": " + d.reason());
            }
        }
    }

    private static String onDriver(String version) throws IOException, InterruptedException {
        ProcessBuilder b = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED", "-D" + Driver.EMULATOR + "=" + System.getProperty(Driver.EMULATOR),
                "-Djava.io.tmpdir=" + System.getProperty("java.io.tmpdir"), "-cp", System.getProperty("java.class.path"),
                OldDriver.class.getName()).redirectErrorStream(true);
        b.environment().put("LACUNA_EMULATOR_DRIVER", version);
        Process p = b.start();
        String said = new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, p.waitFor(), said);
        return said;
    }

    @Test
    void driversThatAreTooOldTakeTheOtherTensorCores() throws Exception {
        CudaTier.name();
        String old = onDriver("12040");
        assertTrue(old.contains("product, more rows: cuda, gemm_I8_24_I8: ") && old.contains("a driver for CUDA 12.5 or newer"), old);
        String first = onDriver("12050");
        assertTrue(first.contains("product, more rows: cuda, gemm_sparse_I8_24_I8: 2:4 on sparse tensor cores"), first);
        double[] expected = products(old);
        double[] actual = products(first);
        assertEquals(3 * ROWS * 66, expected.length);
        assertEquals(expected.length, actual.length);
        double error = 0;
        double power = 0;
        for (int i = 0; i < expected.length; i++) {
            error += Math.pow(expected[i] - actual[i], 2);
            power += Math.pow(expected[i], 2);
        }
        assertTrue(power > 0 && error <= 1e-11 * power, "NMSE " + error / power);
    }

    private static double[] products(String said) {
        return said.lines().filter(l -> l.startsWith("y ")).mapToDouble(l -> Double.parseDouble(l.substring(2))).toArray();
    }

    @ParameterizedTest
    @CsvSource({"I8_BITMASK, PRODUCT, I8/32, Q8_0", "I4_BITMASK_64, PRODUCT, F32, F32", "I4_BITMASK_128, EMBED, F32, F32",
            "I8_BITMASK, ROWS, F32, F32"})
    void rowsThatDifferInLengthAreRefused(String name, Use use, String input, String instead) {
        Format format = Format.named(name).orElseThrow();
        InputPolicy policy = input.equals("F32") ? InputPolicy.F32 : InputPolicy.I8;
        try (Arena arena = Arena.ofShared(); Ops ops = CudaTier.open()) {
            Tensor t = tensor(format, 3, 64, arena);
            UnsupportedKernelException e = assertThrows(UnsupportedKernelException.class,
                    () -> ops.place(List.of(t), policy, Set.of(use)));
            for (String part : List.of("blk.0.up is " + name, "no CUDA kernel of " + name + " with " + input + " inputs for " + use,
                    "--weights " + instead + " ", "I8_24")) {
                assertTrue(e.getMessage().contains(part), e.getMessage());
            }
            assertEquals(0, ops.decisions().stream().filter(d -> d.on().contains(name)).count());
        }
    }

    /** As {@code --weights} does it: every matrix of a model, whatever its width. */
    @ParameterizedTest
    @CsvSource({"llama, I8_24", "qwen3, I4_24_64", "gpt2, I8_24"})
    void aFamilyThatIsPrunedAtLoadSaysWhatItSaysOnTheCpu(String family, String format) {
        CudaTier.name();
        Path model = Checkout.root().resolve("models/families").resolve(family).resolve("model.gguf");
        int[] expected = said(model, format, "plain");
        assertTrue(Arrays.stream(expected).distinct().count() >= 4, () -> Arrays.toString(expected));
        assertArrayEquals(expected, said(model, format, CudaProvider.CUDA));
    }

    private static int[] said(Path model, String format, String kernels) {
        Options options = Options.DEFAULT.withKernels(kernels).withWeights(Format.named(format).orElseThrow())
                .withActivations(InputPolicy.pinned(Input.I8)).withContext(64);
        try (Lacuna m = Lacuna.open(model, options)) {
            int[] prompt = new int[21];
            for (int i = 0; i < prompt.length; i++) prompt[i] = 3 + (i * 7919 + 13) % (m.tokenizer().size() - 3);
            return m.generate(prompt, Sampling.GREEDY.withMaxTokens(12)).result().outputIds();
        }
    }
}
