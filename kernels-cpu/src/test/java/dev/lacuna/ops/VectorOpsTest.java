package dev.lacuna.ops;

import dev.lacuna.kernels.cpu.CpuProvider;

class VectorOpsTest extends OpsConformance {
    @Override
    protected Ops open(int threads) {
        return new CpuProvider().open("vector", new OpsOptions(threads, "vector", true));
    }
}
