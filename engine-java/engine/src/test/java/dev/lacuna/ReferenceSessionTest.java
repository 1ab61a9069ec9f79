package dev.lacuna;

class ReferenceSessionTest extends SessionConformance {
    @Override
    protected String kernels() {
        return "reference";
    }

    @Override
    protected boolean bitwise() {
        return true;
    }
}
