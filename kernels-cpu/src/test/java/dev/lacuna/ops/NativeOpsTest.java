package dev.lacuna.ops;

import static org.junit.jupiter.api.Assumptions.abort;

import dev.lacuna.kernels.cpu.CpuProvider;
import dev.lacuna.kernels.cpu.KernelCalls;
import org.junit.jupiter.api.Nested;

/** The C kernels of every tier that the processor has; their calls are kept for {@code .ci/sanitize}. */
class NativeOpsTest {
    /** What every x86-64 processor of the last ten years has. */
    @Nested
    class Avx2 extends Tier {
        Avx2() {
            super("avx2");
        }
    }

    /** AVX-512 with VNNI. */
    @Nested
    class Avx512 extends Tier {
        Avx512() {
            super("avx512");
        }
    }

    abstract static class Tier extends OpsConformance {
        private final String isa;

        Tier(String isa) {
            this.isa = isa;
        }

        @Override
        protected Ops open(int threads) {
            OpsProvider.Tier tier = new CpuProvider().tiers().getFirst();
            if (!tier.runnable() || !tier.detail().contains(isa)) abort("no C kernels for " + isa + " here: " + tier);
            return KernelCalls.open(threads, isa);
        }
    }
}
