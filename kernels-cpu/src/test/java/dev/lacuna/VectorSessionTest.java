package dev.lacuna;

class VectorSessionTest extends SessionConformance {
    @Override
    protected String kernels() {
        return "vector";
    }

    /** Whatever shares a step, a cache block or a thread, each sum has one order. */
    @Override
    protected boolean bitwise() {
        return true;
    }
}
