package dev.lacuna.ops;

import dev.lacuna.kernels.cpu.CpuProvider;

class PlainOpsTest extends OpsConformance {
    @Override
    protected Ops open(int threads) {
        return new CpuProvider().open("plain", new OpsOptions(threads, "plain", true));
    }
}
