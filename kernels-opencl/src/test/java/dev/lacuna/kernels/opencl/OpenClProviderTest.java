package dev.lacuna.kernels.opencl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.ops.Backends;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.OpsProvider;
import dev.lacuna.ops.UnsupportedKernelException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OpenClProviderTest {
    private static final int NATIVE = 300;

    @TempDir
    Path folder;

    @Test
    void theTierNamesTheDevices() {
        Device best = OpenClTier.device();
        OpsProvider.Tier tier = new OpenClProvider().tiers().getFirst();
        assertEquals("opencl", tier.name());
        assertNull(tier.why());
        for (Device d : Device.found().devices()) assertTrue(tier.detail().contains(d.name()), tier.detail());
        // on the processor itself its own kernels are faster
        assertEquals(best.cpu(), tier.score() < NATIVE, tier::toString);
        assertTrue(Backends.find().tiers().contains(tier));
        try (CheckedOps ops = Backends.find().open(new OpsOptions(1, "opencl", true))) {
            assertEquals(0, ops.openOperands());
        }
    }

    // ---- other JVMs

    /** Says what a process finds, and leaves nothing in its folder for temporary files. */
    static final class Finds {
        public static void main(String[] args) throws Exception {
            String before = System.getProperty("java.io.tmpdir");
            OpsProvider.Tier tier = new OpenClProvider().tiers().getFirst();
            System.out.println("why: " + tier.why());
            System.out.println("same folder: " + before.equals(System.getProperty("java.io.tmpdir")));
            try (Stream<Path> left = Files.list(Path.of(before))) {
                System.out.println("left: " + left.filter(f -> f.toString().contains("jocl") || f.toString().contains("JOCL")).toList());
            }
            System.out.println(
                    "best: " + Backends.find().tiers().stream().filter(OpsProvider.Tier::runnable).findFirst().orElseThrow().name());
            try (CheckedOps ops = Backends.find().open(new OpsOptions(1, "opencl", true))) {
                System.out.println("opened " + ops.decisions());
            } catch (UnsupportedKernelException e) {
                System.out.println("refused: " + e.getMessage());
            }
        }
    }

    private String find(Map<String, String> environment) throws Exception {
        Path temporary = Files.createDirectories(folder.resolve("temporary"));
        ProcessBuilder builder = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED", "-Xmx256m", "-Djava.io.tmpdir=" + temporary, "-cp",
                System.getProperty("java.class.path"), Finds.class.getName()).redirectErrorStream(true);
        builder.environment().remove("JAVA_TOOL_OPTIONS");
        builder.environment().putAll(environment);
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        assertTrue(output.contains("same folder: true"), output);
        assertTrue(output.contains("left: []"), output);
        return output;
    }

    @Test
    void theLibraryIsUnpackedInPrivate() throws Exception {
        OpenClTier.device();
        String output = find(Map.of());
        assertTrue(output.contains("why: null") && output.contains("opened []"), output);
    }

    @Test
    void withoutAPlatformTheOthersRun() throws Exception {
        OpenClTier.device();
        String output = find(Map.of("OCL_ICD_VENDORS", Files.createDirectories(folder.resolve("none")).toString()));
        assertTrue(output.contains("why: OpenCL has no device here: install a driver"), output);
        assertTrue(output.contains("refused: kernels 'opencl' cannot run here: OpenCL has no device here"), output);
        assertFalse(output.contains("best: opencl"), output);
    }

    /** A loader that cannot be loaded is a line, not a crash. */
    @Test
    void withoutALoaderTheOthersRun() throws Exception {
        Path empty = Files.createDirectories(folder.resolve("empty"));
        for (String name : List.of("libOpenCL.so", "libOpenCL.so.1")) Files.writeString(empty.resolve(name), "no library");
        String output = find(Map.of("LD_LIBRARY_PATH", empty.toString()));
        assertTrue(output.contains("why: no OpenCL library (") && output.contains("install ocl-icd-libopencl1"), output);
        assertTrue(output.contains("refused: kernels 'opencl' cannot run here: no OpenCL library"), output);
        assertFalse(output.contains("best: opencl"), output);
    }

    @Test
    void anUnknownTierIsRefused() {
        assertThrows(UnsupportedKernelException.class, () -> new OpenClProvider().open("cl", OpsOptions.DEFAULT));
    }
}
