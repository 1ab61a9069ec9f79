package dev.lacuna.kernels.cpu;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** What tests of the C kernels ask first. */
public final class NativeTier {
    private NativeTier() {}

    /** The tier's name; ends a test as skipped where the build or the processor has no C kernels. */
    public static String name() {
        assumeTrue(NativeLibrary.missing() == null, NativeLibrary::missing);
        return CpuProvider.NATIVE;
    }

    /** Ends a test as skipped if it is about the C kernels and there are none. */
    static void assumeHere(String kernels) {
        if (kernels.equals(CpuProvider.NATIVE)) name();
    }
}
