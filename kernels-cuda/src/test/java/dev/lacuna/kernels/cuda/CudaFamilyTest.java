package dev.lacuna.kernels.cuda;

import dev.lacuna.model.FamilyConformance;

class CudaFamilyTest extends FamilyConformance {
    @Override
    protected String kernels() {
        return CudaTier.name();
    }

    @Override
    protected double bound() {
        return 1e-6;
    }
}
