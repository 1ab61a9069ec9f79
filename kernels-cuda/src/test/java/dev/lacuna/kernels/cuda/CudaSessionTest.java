package dev.lacuna.kernels.cuda;

import dev.lacuna.SessionConformance;

class CudaSessionTest extends SessionConformance {
    @Override
    protected String kernels() {
        return CudaTier.name();
    }

    @Override
    protected double slack() {
        return 100;
    }
}
