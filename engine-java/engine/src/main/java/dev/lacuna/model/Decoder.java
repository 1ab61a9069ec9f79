package dev.lacuna.model;

import dev.lacuna.files.ModelFile;
import dev.lacuna.ops.Attention;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.Ffn;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.Norm;
import dev.lacuna.ops.Qkv;
import dev.lacuna.ops.Rope;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Values;
import dev.lacuna.ops.Weight;
import dev.lacuna.tensor.Tensor;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** A decoder whose weights are placed: immutable, shared by all sessions. {@link #pass} makes room for steps of it. */
public final class Decoder {
    private final ModelSpec spec;
    private final CheckedOps ops;
    private final Weight embedding;
    private final Linear output;
    private final Norm norm;
    private final Rope rope;
    private final List<Layer> layers;

    /** A placed layer; null where a module is absent. */
    record Layer(@Nullable AttentionBlock attention, @Nullable FeedForward ffn) {}

    record AttentionBlock(Norm norm, Qkv qkv, Attention heads, Linear output) {}

    record FeedForward(Norm norm, Ffn ffn, int width) {}

    /**
     * Reads the shape of a model.
     *
     * @throws ModelException if its architecture or shape is not supported
     */
    public static ModelSpec spec(ModelFile file) {
        ModelFile gguf = FolderMapping.read(file);
        return Family.of(gguf).spec(gguf);
    }

    /**
     * Places a model's weights.
     *
     * @param spec      what {@link #spec} read, or a subset of its layers
     * @param positions the most positions of a sequence, for the rotation table
     * @param policy    inputs wanted for block formats
     * @param encoding  applied to each matrix before it is placed: identity, or a re-encoding
     */
    public static Decoder place(ModelFile file, ModelSpec spec, CheckedOps ops, int positions, InputPolicy policy,
            UnaryOperator<Tensor> encoding) {
        ModelFile gguf = FolderMapping.read(file);
        return new Decoder(spec, Family.of(gguf).weights(gguf, spec), ops, positions, policy, encoding);
    }

    private Decoder(ModelSpec spec, Weights w, CheckedOps ops, int positions, InputPolicy policy, UnaryOperator<Tensor> encoding) {
        this.spec = spec;
        this.ops = ops;
        Placement place = new Placement(ops, policy, encoding);
        Tensor table = encoding.apply(w.embedding());
        if (w.output() == null) {
            embedding = ops.place(List.of(table), policy.fit(List.of(table)), EnumSet.allOf(Use.class)).getFirst();
            output = new Linear(embedding, null);
        } else {
            embedding = ops.place(List.of(table), policy.fit(List.of(table)), Set.of(Use.EMBED)).getFirst();
            output = new Linear(place.weights(w.output()).getFirst(), null);
        }
        norm = place.norm(w.norm(), spec);
        rope = new Rope(ops.values(spec.rope().table(positions)), spec.rope().dims(), spec.headSize(), spec.rope().interleaved());
        layers = new ArrayList<>();
        for (int l = 0; l < w.layers().size(); l++) {
            ModelSpec.Layer shape = spec.layers().get(l);
            Weights.AttentionBlock a = w.layers().get(l).attention();
            Weights.FeedForward f = w.layers().get(l).ffn();
            layers.add(new Layer(a == null ? null : place.attention(a, shape, spec), f == null ? null : place.ffn(f, shape, spec)));
        }
    }

    /** Turns tensors into what the operations take. */
    private record Placement(CheckedOps ops, InputPolicy policy, UnaryOperator<Tensor> encoding) {
        List<Weight> weights(Tensor... tensors) {
            List<Tensor> encoded = List.of(tensors).stream().map(encoding).toList();
            return ops.place(encoded, policy.fit(encoded), Set.of(Use.PRODUCT));
        }

        Norm norm(Tensor gain, ModelSpec spec) {
            return Norm.rms(ops.values(gain.toFloats()), spec.normEps());
        }

        private Linear linear(Weight w, @Nullable Tensor bias) {
            Values b = bias == null ? null : ops.values(bias.toFloats());
            return new Linear(w, b);
        }

        AttentionBlock attention(Weights.AttentionBlock a, ModelSpec.Layer shape, ModelSpec spec) {
            List<Weight> qkv = weights(a.q().weight(), a.k().weight(), a.v().weight());
            Qkv projections = new Qkv(linear(qkv.get(0), a.q().bias()), linear(qkv.get(1), a.k().bias()), linear(qkv.get(2), a.v().bias()));
            Attention heads = new Attention(shape.kvOf(), spec.headSize(), spec.attentionScale(), shape.window(), 0);
            return new AttentionBlock(norm(a.norm(), spec), projections, heads,
                    linear(weights(a.output().weight()).getFirst(), a.output().bias()));
        }

        FeedForward ffn(Weights.FeedForward f, ModelSpec.Layer shape, ModelSpec spec) {
            List<Weight> in = weights(f.gate().weight(), f.up().weight());
            Ffn ffn = new Ffn.Gated(linear(in.get(0), f.gate().bias()), linear(in.get(1), f.up().bias()),
                    linear(weights(f.down().weight()).getFirst(), f.down().bias()), spec.activation());
            return new FeedForward(norm(f.norm(), spec), ffn, shape.ffn());
        }
    }

    public ModelSpec spec() {
        return spec;
    }

    public CheckedOps ops() {
        return ops;
    }

    /** Makes room for steps within the limits, on a cache that outlives it. */
    public ForwardPass pass(Limits limits, KvPool kv) {
        return new ForwardPass(this, limits, kv);
    }

    Weight embedding() {
        return embedding;
    }

    Linear output() {
        return output;
    }

    Norm norm() {
        return norm;
    }

    Rope rope() {
        return rope;
    }

    List<Layer> layers() {
        return layers;
    }
}
