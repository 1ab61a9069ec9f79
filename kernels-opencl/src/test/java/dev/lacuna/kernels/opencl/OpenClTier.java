package dev.lacuna.kernels.opencl;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.ops.Ops;
import dev.lacuna.tensor.Format;
import java.util.stream.Stream;

/** What tests of the OpenCL kernels ask first. */
public final class OpenClTier {
    private OpenClTier() {}

    /** The tier's name; ends a test as skipped where there is no OpenCL device. */
    public static String name() {
        device();
        return OpenClProvider.TIER;
    }

    static Device device() {
        Device.Found found = Device.found();
        assumeTrue(found.why() == null, () -> "no OpenCL kernels here: " + found.why());
        return found.devices().getFirst();
    }

    /** The kernels, unchecked. */
    public static Ops open() {
        return OpenClOps.on(device());
    }

    /** The formats that there are kernels for. */
    public static Stream<Format> formats() {
        return Layout.ALL.stream().map(Layout::format);
    }
}
