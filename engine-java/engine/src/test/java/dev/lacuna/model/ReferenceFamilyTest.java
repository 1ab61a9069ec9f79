package dev.lacuna.model;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.ops.Activation;
import org.junit.jupiter.api.Test;

class ReferenceFamilyTest extends FamilyConformance {
    @Override
    protected String kernels() {
        return "reference";
    }

    @Override
    protected double bound() {
        return 1e-9;
    }

    /** The two are so near that only the reference tells them apart. */
    @Test
    void geluByTanhIsNotGeluByErf() {
        double error = error("gpt2", s -> s.withActivation(Activation.GELU_ERF));
        assertTrue(error > 10 * bound(), "NMSE " + error);
    }
}
