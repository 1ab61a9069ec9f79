package dev.lacuna.model;

import dev.lacuna.kernels.opencl.OpenClTier;
import java.util.stream.Stream;

class OpenClFamilyTest extends FamilyConformance {
    @Override
    protected String kernels() {
        return OpenClTier.name();
    }

    @Override
    protected double bound() {
        return 1e-6;
    }

    /** Windows, soft caps and partial rotation; what else is far off is the engine's tables, the same for all kernels. */
    @Override
    protected Stream<String> far() {
        return Stream.of("gemma2", "phi3-longrope");
    }
}
