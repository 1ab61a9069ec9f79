package dev.lacuna.model;

class ReferenceFamilyTest extends FamilyConformance {
    @Override
    protected String kernels() {
        return "reference";
    }

    @Override
    protected double bound() {
        return 1e-9;
    }
}
