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
    public void folder(FolderMapping folder) {
        folder.require("do_layer_norm_before", true,
                "norms after the blocks, as OPT-350M has them, which is not supported; the other sizes of OPT are");
        folder.require("enable_bias", true);
        folder.require("layer_norm_elementwise_affine", true);
        folder.real("word_embed_proj_dim").filter(d -> !folder.real("hidden_size").equals(java.util.Optional.of(d))).ifPresent(d -> {
            throw folder.bad("word_embed_proj_dim",
                    "is not hidden_size: embeddings narrower than the layers, as OPT-350M has them, are not supported; the other sizes of OPT are");
        });
        folder.module("self_attn.out_proj", "attn_output").module("self_attn_layer_norm", "attn_norm").module("fc1", "ffn_up")
                .module("fc2", "ffn_down").module("final_layer_norm", "ffn_norm");
        for (String at : List.of("model.decoder.", "decoder.")) {
            folder.outside(at + "embed_tokens", "token_embd").outside(at + "embed_positions", "position_embd")
                    .outside(at + "final_layer_norm", "output_norm");
        }
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
