package dev.lacuna.kernels.cpu;

import dev.lacuna.model.FamilyConformance;

class VectorFamilyTest extends FamilyConformance {
    @Override
    protected String kernels() {
        return "vector";
    }

    @Override
    protected double bound() {
        return 1e-6;
    }
}
