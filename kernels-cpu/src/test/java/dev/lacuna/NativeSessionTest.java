package dev.lacuna;

class NativeSessionTest extends SessionConformance {
    @Override
    protected String kernels() {
        return "native";
    }

    /** Whatever shares a step, a cache block or a thread, each sum has one order. */
    @Override
    protected boolean bitwise() {
        return true;
    }
}
