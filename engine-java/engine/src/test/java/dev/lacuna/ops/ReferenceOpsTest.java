package dev.lacuna.ops;

/** The reference against itself: the suite asks for nothing that its oracle does not give. */
class ReferenceOpsTest extends OpsConformance {
    @Override
    protected Ops open(int threads) {
        return new ReferenceOps(threads);
    }
}
