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
    public void folder(FolderMapping folder) {
        for (String on : List.of("scale_attn_by_inverse_layer_idx", "add_cross_attention")) folder.require(on, false);
        folder.require("scale_attn_weights", true);
        folder.module("ln_1", "attn_norm").module("attn.c_attn", "attn_qkv").module("attn.c_proj", "attn_output").module("ln_2", "ffn_norm")
                .module("mlp.c_fc", "ffn_up").module("mlp.c_proj", "ffn_down");
        for (String at : List.of("transformer.", "")) {
            folder.outside(at + "wte", "token_embd").outside(at + "wpe", "position_embd").outside(at + "ln_f", "output_norm");
        }
        folder.transposed("attn_qkv", "attn_output", "ffn_up", "ffn_down");
        if (folder.value("n_inner").isEmpty()) folder.real("n_embd").ifPresent(d -> folder.key("feed_forward_length", (long) (4 * d)));
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
