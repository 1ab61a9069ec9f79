package dev.lacuna;

import dev.lacuna.kernels.cpu.NativeTier;

class NativeSessionTest extends SessionConformance {
    @Override
    protected String kernels() {
        return NativeTier.name();
    }

    /** Whatever shares a step, a cache block or a thread, each sum has one order. */
    @Override
    protected boolean bitwise() {
        return true;
    }
}
