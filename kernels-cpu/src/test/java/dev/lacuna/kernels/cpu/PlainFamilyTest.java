package dev.lacuna.kernels.cpu;

import dev.lacuna.model.FamilyConformance;

class PlainFamilyTest extends FamilyConformance {
    @Override
    protected String kernels() {
        return "plain";
    }

    @Override
    protected double bound() {
        return 1e-6;
    }
}
