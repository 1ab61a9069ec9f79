package dev.lacuna;

import dev.lacuna.kernels.opencl.OpenClTier;

class OpenClSessionTest extends SessionConformance {
    @Override
    protected String kernels() {
        return OpenClTier.name();
    }

    /** Whatever shares a step or a work-group, each sum has one order. */
    @Override
    protected boolean bitwise() {
        return true;
    }
}
