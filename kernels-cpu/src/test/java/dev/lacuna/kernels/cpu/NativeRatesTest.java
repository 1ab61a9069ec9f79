package dev.lacuna.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.ops.Backends;
import dev.lacuna.ops.MachineRates;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.UnsupportedKernelException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The rates exist, of all sizes and tiers; how large they are is nothing to assert. */
class NativeRatesTest {
    private static List<String> isas() {
        String why = NativeLibrary.missing();
        assumeTrue(why == null, why);
        return NativeLibrary.get().isas();
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 4095, 4096, 12_345, 1 << 20, (3L << 24) + 1, MachineRates.LARGE})
    void everyBufferIsRead(long bytes) {
        for (String isa : isas()) {
            for (int threads : new int[]{1, 2}) {
                try (MachineRates rates = Backends.find().rates(new OpsOptions(threads, "native", isa, true))) {
                    assertNotNull(rates);
                    double read = rates.bytesPerSecond(bytes);
                    assertTrue(read > 0 && Double.isFinite(read), isa + " reads " + read);
                    double multiplied = rates.int8PerSecond();
                    assertTrue(multiplied > 0 && Double.isFinite(multiplied), isa + " multiplies " + multiplied);
                    double brains = rates.bf16PerSecond();
                    assertTrue(brains > 0 && brains < multiplied, isa + " multiplies bfloat16 " + brains + ", bytes " + multiplied);
                }
            }
        }
    }

    @Test
    void whatIsOutsideIsRefused() {
        isas();
        MachineRates rates = Backends.find().rates(new OpsOptions(1, "native", true));
        assertNotNull(rates);
        assertThrows(IllegalArgumentException.class, () -> rates.bytesPerSecond(0));
        assertThrows(IllegalArgumentException.class, () -> rates.bytesPerSecond(MachineRates.LARGE + 1));
        rates.close();
        rates.close();
        assertThrows(IllegalStateException.class, () -> rates.bytesPerSecond(4096));
        assertThrows(IllegalStateException.class, rates::int8PerSecond);
        assertThrows(IllegalStateException.class, rates::bf16PerSecond);
        assertThrows(UnsupportedKernelException.class, () -> Backends.find().rates(new OpsOptions(1, "native", "neon", true)));
    }

    @Test
    void javaKernelsDoNotTell() {
        for (String tier : new String[]{"vector", "plain", "reference"}) assertNull(Backends.find().rates(new OpsOptions(1, tier, true)));
    }
}
