package dev.lacuna.model;

import dev.lacuna.kernels.opencl.OpenClTier;

class OpenClFamilyTest extends FamilyConformance {
    @Override
    protected String kernels() {
        return OpenClTier.name();
    }

    @Override
    protected double bound() {
        return 1e-6;
    }
}
