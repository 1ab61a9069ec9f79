package dev.lacuna.kernels.cuda;

import dev.lacuna.model.FamilyConformance;

/** The first positions and the greedy tokens of every family; {@code -Dlacuna.test.full=true} also those that are far, and the controls. */
class CudaFamilyTest extends FamilyConformance {
    @Override
    protected String kernels() {
        return CudaTier.name();
    }

    @Override
    protected double bound() {
        return 1e-6;
    }

    @Override
    protected boolean whole() {
        return Boolean.getBoolean("lacuna.test.full");
    }
}
