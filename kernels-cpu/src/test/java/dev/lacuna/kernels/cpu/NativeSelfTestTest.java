package dev.lacuna.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Ops;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.OpsProvider;
import dev.lacuna.ops.UnsupportedKernelException;
import org.junit.jupiter.api.Test;

/** What may run, and why the rest may not. */
class NativeSelfTestTest {
    /** A library of which one sum in a thousand is a tenth of a percent too large. */
    @Test
    void aWrongResultIsRefused() {
        NativeLibrary faulty = TestedLibraries.faulty();
        String why = faulty.refusal("avx2");
        assertNotNull(why, "the self-test passed");
        assertTrue(why.contains("self-test failed") && why.contains("13 rows: output 0 of row 1 is"), why);
        assertFalse(faulty.isas().contains("avx2"));
        // its other tiers are right
        assertEquals(NativeLibrary.get().refusal("avx512"), faulty.refusal("avx512"));
    }

    @Test
    void everyTierRunsOrSaysWhyNot() {
        NativeTier.name();
        NativeLibrary library = NativeLibrary.get();
        for (String isa : NativeLibrary.ISAS) {
            assertEquals(library.refusal(isa) == null, library.isas().contains(isa));
            assertTrue(library.isas().contains(isa) != library.refused().containsKey(isa), isa + ": " + library.refused());
        }
        OpsProvider.Tier tier = new CpuProvider().tiers().getFirst();
        for (String isa : NativeLibrary.ISAS) assertTrue(tier.detail().contains(isa), tier.detail());
    }

    @Test
    void tilesThatAreNotThereAreRefused() {
        NativeTier.name();
        String why = NativeLibrary.get().refused().get("amx");
        assumeTrue(why != null, "this processor has AMX");
        assertTrue(why.contains("AMX"), why);
        UnsupportedKernelException e = assertThrows(UnsupportedKernelException.class,
                () -> Backends.find().open(new OpsOptions(1, "native", "amx", true)));
        assertTrue(e.getMessage().contains("'amx'") && e.getMessage().contains(why), e.getMessage());
    }

    /** Bfloat16 where tiles multiply it, bytes elsewhere. */
    @Test
    void inputsOfTheTier() {
        try (Ops amx = KernelCalls.open(1, "amx"); Ops avx2 = KernelCalls.open(1, "avx2")) {
            assertEquals(new InputPolicy(Input.I8, Input.BF16), amx.inputs());
            assertEquals(InputPolicy.I8, avx2.inputs());
        }
    }
}
