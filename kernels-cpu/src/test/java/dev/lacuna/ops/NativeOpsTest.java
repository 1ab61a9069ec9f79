package dev.lacuna.ops;

import dev.lacuna.kernels.cpu.KernelCalls;
import java.util.stream.Stream;
import org.junit.jupiter.api.Nested;

/**
 * The C kernels of every tier that the processor has, their calls kept for {@code .ci/sanitize}; AMX everywhere, with tiles in memory where the processor
 * has none.
 */
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

    /** With products of bfloat16 beside; all else is AVX-512's. */
    @Nested
    class Avx512Bf16 extends Tier {
        Avx512Bf16() {
            super("avx512bf16");
        }

        @Override
        protected Stream<Input> inputs() {
            return Stream.of(Input.F32, Input.BF16);
        }

        @Override
        protected boolean attendsInBfloat16(KvType type) {
            return type != KvType.F32;
        }
    }

    /** With tiles beside, of bfloat16 and of bytes under wide scales. */
    @Nested
    class Amx extends Tier {
        Amx() {
            super("amx");
        }

        @Override
        protected Stream<Input> inputs() {
            return Stream.of(Input.F32, Input.BF16, new Input.I8(64), new Input.I8(128), new Input.I8(0));
        }

        @Override
        protected boolean attendsInBfloat16(KvType type) {
            return type != KvType.F32;
        }
    }

    abstract static class Tier extends OpsConformance {
        private final String isa;

        Tier(String isa) {
            this.isa = isa;
        }

        @Override
        protected Ops open(int threads) {
            return KernelCalls.open(threads, isa);
        }
    }
}
