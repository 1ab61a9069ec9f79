package dev.lacuna.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import dev.lacuna.generate.Sampling;
import dev.lacuna.hub.ModelNotAvailableException;
import dev.lacuna.hub.ModelStore;
import dev.lacuna.hub.Progress;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** The default model says the same eight tokens on the emulated device as on the CPU; by hand, with {@code -Dlacuna.test.smollm2=true}. */
class CudaSmolLm2Test {
    private static int[] said(Path model, String kernels) {
        Options options = Options.DEFAULT.withKernels(kernels).withContext(128);
        long begun = System.nanoTime();
        try (Lacuna m = Lacuna.open(model, options)) {
            int[] ids = m.generate(m.encode("The capital of France is"), Sampling.GREEDY.withMaxTokens(8)).result().outputIds();
            System.out.printf("%s: %s, %.0f s%n", kernels, m.tokenizer().decode(ids), (System.nanoTime() - begun) / 1e9);
            return ids;
        }
    }

    @Test
    void eightTokens() {
        String kernels = CudaTier.name();
        assumeTrue(Boolean.getBoolean("lacuna.test.smollm2"), "skipped: takes minutes; -Dlacuna.test.smollm2=true runs it");
        Path model;
        try {
            model = ModelStore.open().pull(Lacuna.DEFAULT_MODEL, Progress.NONE);
        } catch (ModelNotAvailableException e) {
            abort("skipped: the default model cannot be had here: " + e.getMessage());
            return;
        }
        int[] expected = said(model, "plain");
        assertEquals(8, expected.length);
        assertArrayEquals(expected, said(model, kernels));
    }
}
