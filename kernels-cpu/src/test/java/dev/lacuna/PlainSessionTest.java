package dev.lacuna;

class PlainSessionTest extends SessionConformance {
    @Override
    protected String kernels() {
        return "plain";
    }
}
