package dev.lacuna;

class VectorSessionTest extends SessionConformance {
    @Override
    protected String kernels() {
        return "vector";
    }
}
