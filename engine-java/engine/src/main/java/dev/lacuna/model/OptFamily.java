package dev.lacuna.model;

import dev.lacuna.ops.Activation;
import java.util.List;
import java.util.Set;

/**
 * OPT: layer norms before each block, learned positions that begin at row 2, ReLU, biases everywhere. GGUF defines no architecture for it; keys and
 * tensors are named as GPT-2's. OPT-350M, whose norms follow the blocks and whose embeddings are narrower than its layers, is not of this shape.
 */
final class OptFamily implements Family {
    /** Rows before that of position 0, which the checkpoints keep for padding. */
    private static final int OFFSET = 2;

    @Override
    public List<String> architectures() {
        return List.of("opt");
    }

    @Override
    public List<String> modelTypes() {
        return List.of("opt");
    }

    @Override
    public ModelSpec spec(Reading file) {
        Shape s = Shape.of(file, "opt");
        return s.layerNormed("opt", Activation.RELU, s.layers(null)).withEmbedding(1, OFFSET);
    }

    @Override
    public Set<Blocks.Part> parts() {
        return Set.of(Blocks.Part.BIAS, Blocks.Part.POSITIONS);
    }
}
