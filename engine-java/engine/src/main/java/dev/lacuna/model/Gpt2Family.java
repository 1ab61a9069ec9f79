package dev.lacuna.model;

import dev.lacuna.ops.Activation;
import java.util.List;
import java.util.Set;

/** GPT-2: layer norms before each block, learned positions, GELU, biases everywhere, q, k and v in one projection. */
final class Gpt2Family implements Family {
    @Override
    public List<String> architectures() {
        return List.of("gpt2");
    }

    @Override
    public List<String> modelTypes() {
        return List.of("gpt2");
    }

    @Override
    public ModelSpec spec(Reading file) {
        Shape s = Shape.of(file, "gpt2");
        return s.layerNormed("gpt2", Activation.GELU_TANH, s.layers(null));
    }

    @Override
    public Set<Blocks.Part> parts() {
        return Set.of(Blocks.Part.BIAS, Blocks.Part.POSITIONS);
    }
}
