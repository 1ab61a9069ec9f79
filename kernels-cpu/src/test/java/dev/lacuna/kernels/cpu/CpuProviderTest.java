package dev.lacuna.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.ops.Backends;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.Decision;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.OpsProvider;
import dev.lacuna.ops.UnsupportedKernelException;
import dev.lacuna.ops.Use;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CpuProviderTest {
    @Test
    void theFastestThatRunsIsTheDefault() {
        List<OpsProvider.Tier> tiers = new CpuProvider().tiers();
        assertEquals(List.of("native", "vector", "plain"), tiers.stream().map(OpsProvider.Tier::name).toList());
        assertNull(tiers.get(1).why());
        assertTrue(tiers.get(1).detail().contains(Lanes.BITS + " bits"), tiers.get(1).detail());
        String fastest = tiers.getFirst().runnable() ? "native" : "vector";
        assertEquals(fastest, Backends.find().tiers().stream().filter(OpsProvider.Tier::runnable).findFirst().orElseThrow().name());
    }

    /** An instruction set is a cap that somebody asked for: what is not there is refused, never replaced. */
    @Test
    void theInstructionSetIsAsAsked() {
        OpsProvider.Tier tier = new CpuProvider().tiers().getFirst();
        assumeTrue(tier.runnable(), () -> "no C kernels here: " + tier.why());
        try (CheckedOps ops = Backends.find().open(new OpsOptions(1, "native", "avx2", true))) {
            Tensor q4 = new Tensor("w", Format.Q4_1, 4, 64, MemorySegment.ofArray(new byte[160]));
            long bytes = ops.place(List.of(q4), InputPolicy.I8, Set.of(Use.PRODUCT)).getFirst().bytes();
            assertEquals(16 * 40, bytes, "a tile of 16 rows");
            assertTrue(ops.decisions().stream().allMatch(d -> d.kernel().equals("native, avx2")), ops.decisions()::toString);
        }
        UnsupportedKernelException e = assertThrows(UnsupportedKernelException.class,
                () -> Backends.find().open(new OpsOptions(1, "native", "neon", true)));
        assertTrue(e.getMessage().contains("'neon'") && e.getMessage().contains("avx2"), e.getMessage());
    }

    @Test
    void whatRunsIsSaid() {
        try (CheckedOps ops = Backends.find().open(new OpsOptions(1, "vector", true))) {
            Tensor q4 = new Tensor("w", Format.Q4_1, 4, 64, MemorySegment.ofArray(new byte[160]));
            Tensor q5 = new Tensor("v", Format.Q5_0, 4, 64, MemorySegment.ofArray(new byte[176]));
            assertEquals(160, ops.place(List.of(q4, q5), InputPolicy.I8, Set.of(Use.PRODUCT)).getFirst().bytes());
            List<Decision> all = ops.decisions();
            assertTrue(all.stream().anyMatch(d -> d.on().equals("Q4_1 x I8/32") && d.kernel().contains("in registers")), all::toString);
            assertTrue(all.stream().anyMatch(d -> d.on().equals("Q5_0 x I8/32") && d.reason().contains("Q5_0")), all::toString);
        }
    }

    @Test
    void anUnknownFormatIsRefused() {
        try (CheckedOps ops = Backends.find().open(new OpsOptions(1, "plain", false))) {
            Tensor odd = new Tensor("w", new Format("Q3_X", Format.Kind.BLOCK, 32, 14, 3, false, 0), 1, 32,
                    MemorySegment.ofArray(new byte[14]));
            UnsupportedKernelException e = assertThrows(UnsupportedKernelException.class,
                    () -> ops.place(List.of(odd), InputPolicy.F32, Set.of(Use.PRODUCT)));
            assertTrue(e.getMessage().contains("Q3_X"), e.getMessage());
        }
    }

    // ---- other JVMs

    private static String java(List<String> flags, Class<?> main) throws Exception {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
        command.addAll(flags);
        command.addAll(List.of("-Xmx256m", "-cp", System.getProperty("java.class.path"), main.getName()));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().remove("JAVA_TOOL_OPTIONS");
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        return output;
    }

    /** What a JVM without any flag does. */
    static final class WithoutFlag {
        public static void main(String[] args) {
            Backends backends = Backends.find();
            backends.tiers().forEach(t -> System.out.println(t.name() + ": " + t.why()));
            System.out.println("failures: " + backends.failures());
            try (CheckedOps ops = backends.open(OpsOptions.DEFAULT)) {
                System.out.println("sum: " + Probe.sum(ops));
            }
            try (CheckedOps ops = backends.open(new OpsOptions(0, "vector", false))) {
                System.out.println("opened " + ops);
            } catch (UnsupportedKernelException e) {
                System.out.println("refused: " + e.getMessage());
            }
        }
    }

    @Test
    void withoutTheModulePlainRuns() throws Exception {
        String output = java(List.of(), WithoutFlag.class);
        assertTrue(output.contains("vector: add --add-modules jdk.incubator.vector to the java command"), output);
        assertTrue(output.contains("plain: null"), output);
        assertTrue(output.contains("failures: []"), output);
        assertTrue(output.contains("sum: " + Probe.EXPECTED), output);
        assertTrue(output.lines().anyMatch(l -> l.startsWith("refused") && l.contains("--add-modules jdk.incubator.vector")), output);
        assertFalse(output.contains("NoClassDefFoundError"), output);
    }

    /** Compares the tiers with each other, at whatever width this JVM has. */
    static final class OfThisWidth {
        public static void main(String[] args) {
            Probe.compare();
            System.out.println("bits: " + Lanes.BITS);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {16, 32, 64})
    void everyVectorWidth(int bytes) throws Exception {
        String output = java(List.of("--add-modules", "jdk.incubator.vector", "-XX:MaxVectorSize=" + bytes), OfThisWidth.class);
        // a machine may have less than was asked for
        int bits = Stream.of(bytes * 8, Lanes.BITS).min(Integer::compare).orElseThrow();
        assertTrue(output.contains("bits: " + bits), output);
    }
}
