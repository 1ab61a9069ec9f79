package dev.lacuna.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Ops;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.OpsProvider;
import dev.lacuna.ops.UnsupportedKernelException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** When the backend is offered, and what it says when not. */
class CudaProviderTest {
    private static final OpsOptions CUDA = OpsOptions.DEFAULT.withBackend("cuda");

    /** What a program sees that starts without an emulated driver: run in a process of its own, since libraries stay loaded. */
    static final class Look {
        private Look() {}

        public static void main(String[] args) {
            OpsProvider.Tier tier = new CudaProvider().tiers().getFirst();
            System.out.println("why: " + tier.why());
            System.out.println("default: " + Backends.find().chosen(OpsOptions.DEFAULT).name());
            try {
                System.out.println("backend: " + Backends.find().chosen(CUDA).name());
            } catch (UnsupportedKernelException e) {
                System.out.println("backend: " + e.getMessage());
            }
        }
    }

    private static String look(String... flags) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
        command.addAll(List.of(flags));
        command.addAll(List.of("--enable-native-access=ALL-UNNAMED", "-Xlog:class+load", "-cp", System.getProperty("java.class.path"),
                Look.class.getName()));
        ProcessBuilder b = new ProcessBuilder(command).redirectErrorStream(true);
        b.environment().remove("LD_LIBRARY_PATH");
        Process p = b.start();
        String said = new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, p.waitFor(), said);
        return said;
    }

    private static void assumeKernels() {
        assumeTrue(Driver.class.getResource(Driver.KERNELS + "kernels.txt") != null, "skipped: this build has no CUDA kernels");
    }

    @Test
    void withoutADriverItSaysWhatIsMissing() throws Exception {
        assumeKernels();
        String said = look();
        assumeFalse(said.contains("why: null"), "skipped: this machine has a device");
        assumeTrue(said.contains("libcuda.so.1 was not found"), () -> "skipped: this machine has a driver: " + said);
        assertTrue(said.contains("backend: backend 'cuda' cannot run here: no NVIDIA driver is here"), said);
        assertFalse(said.contains("default: cuda"), "the engine goes on with the CPU: " + said);
        assertTrue(said.contains("dev.lacuna.kernels.cuda.Driver ") && !said.contains("jcuda.driver.JCudaDriver "),
                "JCuda was not touched");
    }

    @Test
    void anEmulatorThatIsNotThereIsNamed() throws Exception {
        assumeKernels();
        String said = look("-D" + Driver.EMULATOR + "=/nowhere/libcuda.so.1");
        assertTrue(said.contains("why: -Dlacuna.cuda.emulator names /nowhere/libcuda.so.1, and there is no such file"), said);
    }

    @Test
    void theEmulatedDeviceIsTakenWhenAskedForAndNeverByDefault() {
        CudaTier.name();
        OpsProvider.Tier tier = new CudaProvider().tiers().getFirst();
        assertTrue(tier.runnable(), tier.why());
        assertTrue(tier.detail().contains(Driver.EMULATED_NAME) && tier.detail().contains("CUDA 11.0"), tier.detail());
        assertEquals("cuda", Backends.find().chosen(CUDA).name());
        assertFalse(Backends.find().chosen(OpsOptions.DEFAULT).name().equals("cuda"));
        String asked = System.clearProperty(Driver.EMULATOR);
        try {
            // its library is loaded by now, and found by its name
            String why = new CudaProvider().tiers().getFirst().why();
            assertTrue(why != null && why.contains("is the emulated one"), why);
            assertThrows(UnsupportedKernelException.class, () -> new CudaProvider().open("cuda", OpsOptions.DEFAULT));
        } finally {
            System.setProperty(Driver.EMULATOR, asked);
        }
        try (Ops ops = CudaTier.open()) {
            assertTrue(ops.captures());
        }
    }

    @Test
    void backendsThatAreNotHereAreNamed() {
        UnsupportedKernelException e = assertThrows(UnsupportedKernelException.class,
                () -> Backends.find().open(OpsOptions.DEFAULT.withBackend("abacus")));
        assertTrue(e.getMessage().contains("'abacus'") && e.getMessage().contains("cuda"), e.getMessage());
        UnsupportedKernelException of = assertThrows(UnsupportedKernelException.class,
                () -> Backends.find().open(new OpsOptions(1, "cuda", null, false, "cpu")));
        assertTrue(of.getMessage().contains("there are no kernels 'cuda'"), of.getMessage());
    }
}
