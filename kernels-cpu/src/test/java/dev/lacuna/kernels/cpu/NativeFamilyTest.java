package dev.lacuna.kernels.cpu;

import dev.lacuna.model.FamilyConformance;

class NativeFamilyTest extends FamilyConformance {
    @Override
    protected String kernels() {
        return NativeTier.name();
    }

    @Override
    protected double bound() {
        return 1e-6;
    }
}
