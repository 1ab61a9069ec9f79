package dev.lacuna;

import dev.lacuna.kernels.opencl.OpenClTier;
import dev.lacuna.tensor.Format;

class OpenClSessionTest extends SessionConformance {
    @Override
    protected String kernels() {
        return OpenClTier.name();
    }

    @Override
    protected boolean takes(Format format) {
        return OpenClTier.formats().anyMatch(format::equals);
    }

    /** Whatever shares a step or a work-group, each sum has one order. */
    @Override
    protected boolean bitwise() {
        return true;
    }
}
