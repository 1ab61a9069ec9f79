package dev.lacuna.model;

import dev.lacuna.ops.Activation;
import java.util.List;
import java.util.Set;

/** Phi-3 and what shares its shape (Phi-3.5, Phi-4): Llama's with fused projections, windows, partial rotation and LongRoPE. */
final class Phi3Family implements Family {
    @Override
    public List<String> architectures() {
        return List.of("phi3");
    }

    @Override
    public List<String> modelTypes() {
        return List.of("phi3");
    }

    @Override
    public ModelSpec spec(Reading file) {
        Shape s = Shape.of(file, "phi3");
        RopeSpec rope = s.rope(false);
        return s.spec("phi3", Activation.SILU, s.windows(0, 0, rope, rope));
    }

    @Override
    public Set<Blocks.Part> parts() {
        return Set.of(Blocks.Part.GATE);
    }
}
