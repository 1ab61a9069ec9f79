package dev.lacuna.model;

import dev.lacuna.model.Weights.AttentionBlock;
import dev.lacuna.model.Weights.FeedForward;
import dev.lacuna.model.Weights.Gain;
import dev.lacuna.model.Weights.HeadGains;
import dev.lacuna.model.Weights.Projection;
import dev.lacuna.ops.Norm;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Reads tensors by GGUF's names. Fused ones, {@code attn_qkv} and an {@code ffn_up} of twice the width, are cut into slices of rows without a copy.
 *
 * @param parts modules that must be there beside the projections
 */
record Blocks(Reading file, ModelSpec spec, Set<Part> parts) {
    /** Modules that some families have. */
    enum Part {
        /** Biases of q, k and v. */
        QKV_BIAS,
        /** Biases of all projections. */
        BIAS,
        /** A norm of each head of q and k. */
        HEAD_NORM,
        /** Norms of what blocks add to the residual stream. */
        POST_NORM,
        /** A table of learned positions. */
        POSITIONS,
        /** A gate in the feed-forward blocks. */
        GATE
    }

    Weights all() {
        int dim = spec.dim();
        List<Weights.Layer> layers = new ArrayList<>();
        for (ModelSpec.Layer l : spec.layers()) {
            String at = "blk." + l.index() + ".";
            layers.add(new Weights.Layer(l.heads() == 0 ? null : attention(at, l), l.ffn() == 0 ? null : ffn(at, l)));
        }
        Tensor positions = parts.contains(Part.POSITIONS)
                ? file.matrix("position_embd.weight", Math.addExact(spec.contextLength(), spec.positionOffset()), dim)
                : null;
        Projection output = file.has("output.weight") ? projection("output", spec.vocabulary(), dim, false) : null;
        return new Weights(file.matrix("token_embd.weight", spec.vocabulary(), dim), positions, layers, gain("output_norm"), output);
    }

    private AttentionBlock attention(String at, ModelSpec.Layer l) {
        int q = l.heads() * spec.headSize();
        int kv = l.kvHeads() * spec.headSize();
        int dim = spec.dim();
        boolean biased = parts.contains(Part.BIAS) || parts.contains(Part.QKV_BIAS);
        List<Projection> qkv;
        if (file.has(at + "attn_qkv.weight")) {
            Projection all = projection(at + "attn_qkv", q + 2 * kv, dim, biased);
            qkv = List.of(rows(all, 0, q), rows(all, q, q + kv), rows(all, q + kv, q + 2 * kv));
        } else {
            qkv = List.of(projection(at + "attn_q", q, dim, biased), projection(at + "attn_k", kv, dim, biased),
                    projection(at + "attn_v", kv, dim, biased));
        }
        HeadGains heads = parts.contains(Part.HEAD_NORM)
                ? new HeadGains(file.vector(at + "attn_q_norm.weight", spec.headSize()),
                        file.vector(at + "attn_k_norm.weight", spec.headSize()))
                : null;
        return new AttentionBlock(gain(at + "attn_norm"), qkv.get(0), qkv.get(1), qkv.get(2), heads,
                projection(at + "attn_output", dim, q, parts.contains(Part.BIAS)), post(at + "post_attention_norm"));
    }

    private FeedForward ffn(String at, ModelSpec.Layer l) {
        int width = l.ffn();
        int dim = spec.dim();
        boolean biased = parts.contains(Part.BIAS);
        Projection gate = null;
        Projection up;
        if (parts.contains(Part.GATE) && !file.has(at + "ffn_gate.weight")) {
            Projection both = projection(at + "ffn_up", Math.multiplyExact(2, width), dim, biased);
            gate = rows(both, 0, width);
            up = rows(both, width, 2 * width);
        } else {
            if (parts.contains(Part.GATE)) gate = projection(at + "ffn_gate", width, dim, biased);
            up = projection(at + "ffn_up", width, dim, biased);
        }
        return new FeedForward(gain(at + "ffn_norm"), gate, up, projection(at + "ffn_down", dim, width, biased),
                post(at + "post_ffw_norm"));
    }

    private @Nullable Gain post(String name) {
        return parts.contains(Part.POST_NORM) ? gain(name) : null;
    }

    private Gain gain(String name) {
        Tensor bias = spec.norms() == Norm.Kind.LAYER ? file.vector(name + ".bias", spec.dim()) : null;
        return new Gain(file.vector(name + ".weight", spec.dim()), bias);
    }

    private Projection projection(String name, int rows, int cols, boolean biased) {
        Tensor bias = biased || file.has(name + ".bias") ? file.vector(name + ".bias", rows) : null;
        return new Projection(file.matrix(name + ".weight", rows, cols), bias);
    }

    private static Projection rows(Projection p, int from, int to) {
        Tensor bias = p.bias();
        return new Projection(p.weight().slice(from, to), bias == null ? null : values(bias, from, to));
    }

    /** Values of a vector, which is one row, without a copy. */
    private static Tensor values(Tensor v, int from, int to) {
        Format f = v.format();
        return new Tensor(v.name() + "[" + from + ":" + to + "]", f, 1, to - from,
                v.data().asSlice((long) from / f.group() * f.bytes(), f.rowBytes(to - from)));
    }
}
