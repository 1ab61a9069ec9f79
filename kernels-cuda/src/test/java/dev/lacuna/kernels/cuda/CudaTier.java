package dev.lacuna.kernels.cuda;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.ops.Ops;
import dev.lacuna.ops.OpsOptions;
import java.nio.file.Files;
import java.nio.file.Path;

/** What tests on the emulated device ask first. */
final class CudaTier {
    private CudaTier() {}

    /** The tier's name; ends a test as skipped where the build made no kernels or no emulator. */
    static String name() {
        String library = System.getProperty(Driver.EMULATOR, "");
        assumeTrue(Files.isRegularFile(Path.of(library)),
                () -> "skipped: there is no emulated driver " + library + " (g++ and cmake make it)");
        assumeTrue(Driver.class.getResource(Driver.KERNELS + "kernels.txt") != null,
                "skipped: this build has no CUDA kernels (nvcc on the PATH, or pip to fetch it)");
        return CudaProvider.CUDA;
    }

    static Ops open() {
        return new CudaProvider().open(name(), OpsOptions.DEFAULT);
    }
}
