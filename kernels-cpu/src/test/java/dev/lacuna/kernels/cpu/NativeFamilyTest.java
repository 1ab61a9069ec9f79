package dev.lacuna.kernels.cpu;

import dev.lacuna.model.FamilyConformance;
import java.io.IOException;
import java.util.stream.Stream;

class NativeFamilyTest extends FamilyConformance {
    @Override
    protected String kernels() {
        return NativeTier.name();
    }

    @Override
    protected double bound() {
        return 1e-6;
    }

    @Override
    protected Stream<String> far() throws IOException {
        return families();
    }
}
