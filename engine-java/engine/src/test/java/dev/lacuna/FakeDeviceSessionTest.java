package dev.lacuna;

/** The fake device captures each step once and replays it, so whole conversations run on replays here, padding rows included. */
class FakeDeviceSessionTest extends SessionConformance {
    @Override
    protected String kernels() {
        return "fake";
    }

    @Override
    protected boolean bitwise() {
        return true;
    }
}
