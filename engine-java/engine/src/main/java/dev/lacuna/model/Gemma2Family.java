package dev.lacuna.model;

import dev.lacuna.ops.Activation;
import java.util.List;
import java.util.Set;

/**
 * Gemma 2: scaled embeddings, norms before and after each block, soft caps of scores and logits, every other layer with a window. Gains are stored as
 * they multiply, which in GGUF is 1 more than in the checkpoint.
 */
final class Gemma2Family implements Family {
    private static final int WINDOW = 4096;
    private static final int LAYERS_27B = 46;

    @Override
    public List<String> architectures() {
        return List.of("gemma2");
    }

    @Override
    public List<String> modelTypes() {
        return List.of("gemma2");
    }

    @Override
    public void folder(FolderMapping folder) {
        folder.module("post_attention_layernorm", "post_attention_norm").module("pre_feedforward_layernorm", "ffn_norm")
                .module("post_feedforward_layernorm", "post_ffw_norm");
        folder.plusOne("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm", "attn_q_norm", "attn_k_norm", "output_norm");
        folder.real("query_pre_attn_scalar").ifPresent(q -> folder.key("attention.scale", 1 / Math.sqrt(q)));
    }

    @Override
    public ModelSpec spec(Reading file) {
        Shape s = Shape.of(file, "gemma2");
        RopeSpec rope = s.rope(false);
        Keys keys = s.keys();
        return s.spec("gemma2", Activation.GELU_TANH, s.windows(WINDOW, 2, rope, rope)).withEmbedding((float) Math.sqrt(s.dim()), 0)
                .withAttention(attentionScale(s, LAYERS_27B), keys.number("attn_logit_softcapping").orElse(50.0).floatValue())
                .withLogitCap(keys.number("final_logit_softcapping").orElse(30.0).floatValue());
    }

    /** The file's, or else over the root of the head size; the 27B models, known by their layers, divide by the width of a head as it would be. */
    static float attentionScale(Shape s, int layersOf27b) {
        int size = s.count() == layersOf27b ? s.dim() / s.heads()[0] : s.headSize();
        return s.keys().real("attention.scale").orElse(1 / Math.sqrt(size)).floatValue();
    }

    @Override
    public Set<Blocks.Part> parts() {
        return Set.of(Blocks.Part.GATE, Blocks.Part.POST_NORM);
    }
}
