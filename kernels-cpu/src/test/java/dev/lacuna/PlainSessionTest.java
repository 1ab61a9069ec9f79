package dev.lacuna;

class PlainSessionTest extends SessionConformance {
    @Override
    protected String kernels() {
        return "plain";
    }

    /** Whatever shares a step, a cache block or a thread, each sum has one order. */
    @Override
    protected boolean bitwise() {
        return true;
    }
}
