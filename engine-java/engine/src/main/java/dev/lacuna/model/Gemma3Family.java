package dev.lacuna.model;

import dev.lacuna.model.RopeSpec.Scaling;
import dev.lacuna.ops.Activation;
import java.util.List;
import java.util.Set;

/**
 * Gemma 3, text: like Gemma 2 with norms of each head of q and k in place of the caps; five layers with a window and a rotation of their own, then one
 * that sees everything.
 */
final class Gemma3Family implements Family {
    private static final int LAYERS_27B = 62;

    @Override
    public List<String> architectures() {
        return List.of("gemma3");
    }

    @Override
    public List<String> modelTypes() {
        return List.of("gemma3_text", "gemma3");
    }

    @Override
    public void folder(FolderMapping folder) {
        folder.require("use_bidirectional_attention", false);
        // a model of text and images writes only what differs from transformers' defaults
        folder.otherwise("num_attention_heads", 8L).otherwise("num_key_value_heads", 4L).otherwise("head_dim", 256L)
                .otherwise("hidden_size", 2304L).otherwise("intermediate_size", 9216L).otherwise("num_hidden_layers", 26L)
                .otherwise("max_position_embeddings", 131_072L).otherwise("rms_norm_eps", 1e-6).otherwise("query_pre_attn_scalar", 256L)
                .otherwise("sliding_window", 4096L);
        new Gemma2Family().folder(folder);
    }

    @Override
    public ModelSpec spec(Reading file) {
        Shape s = Shape.of(file, "gemma3");
        Keys keys = s.keys();
        RopeSpec stated = s.rope(false);
        RopeSpec global = new RopeSpec(stated.dims(), keys.real("rope.freq_base").orElse(1_000_000.0), false, stated.scaling());
        RopeSpec local = new RopeSpec(stated.dims(), keys.real("rope.freq_base_swa").orElse(10_000.0), false, new Scaling.None());
        return s.spec("gemma3", Activation.GELU_TANH, s.windows(0, 6, global, local)).withEmbedding((float) Math.sqrt(s.dim()), 0)
                .withAttention(Gemma2Family.attentionScale(s, LAYERS_27B), keys.number("attn_logit_softcapping").orElse(0.0).floatValue())
                .withLogitCap(keys.number("final_logit_softcapping").orElse(0.0).floatValue());
    }

    @Override
    public Set<Blocks.Part> parts() {
        return Set.of(Blocks.Part.GATE, Blocks.Part.HEAD_NORM, Blocks.Part.POST_NORM);
    }
}
