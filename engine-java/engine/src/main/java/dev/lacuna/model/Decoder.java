package dev.lacuna.model;

import dev.lacuna.files.ModelFile;
import dev.lacuna.model.Weights.Gain;
import dev.lacuna.model.Weights.HeadGains;
import dev.lacuna.model.Weights.Projection;
import dev.lacuna.ops.Attention;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.Embedding;
import dev.lacuna.ops.Ffn;
import dev.lacuna.ops.HeadNorm;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.Norm;
import dev.lacuna.ops.Qkv;
import dev.lacuna.ops.Rope;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Weight;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** A decoder whose weights are placed: immutable, shared by all sessions. {@link #pass} makes room for steps of it. */
public final class Decoder {
    /** Tensors of old files that say nothing new. */
    private static final Pattern HARMLESS = Pattern.compile("blk\\.\\d+\\.attn_rot_embd\\.weight");

    /** Names that begin alike and are told as one. */
    private static final int MANY = 8;

    private final ModelSpec spec;
    private final CheckedOps ops;
    private final Embedding embedding;
    private final Linear output;
    private final Norm norm;
    private final List<Layer> layers;

    /** A placed layer; null where a module is absent. */
    record Layer(@Nullable AttentionBlock attention, @Nullable FeedForward ffn) {}

    record AttentionBlock(Norm norm, Qkv qkv, @Nullable HeadNorm headNorm, Rope rope, Attention heads, Linear output,
            @Nullable Norm post) {}

    record FeedForward(Norm norm, Ffn ffn, int width, @Nullable Norm post) {}

    /**
     * Reads the shape of a model.
     *
     * @throws ModelException if its architecture or shape is not supported
     */
    public static ModelSpec spec(ModelFile file) {
        Reading reading = new Reading(file);
        ModelSpec spec = read(reading);
        for (String tensor : reading.unreadTensors()) {
            if (tensor.startsWith("blk.") && !HARMLESS.matcher(tensor).matches()) {
                throw new ModelException(reading.name() + ": tensor " + tensor + " is in the file and the family " + spec.family()
                        + " does not know it: the model would not be what was trained");
            }
        }
        return spec;
    }

    private static ModelSpec read(Reading reading) {
        Family family = Families.of(reading);
        ModelSpec spec = family.spec(reading);
        family.weights(reading, spec);
        return spec;
    }

    /**
     * Keys and tensors of a file that its family does not understand, of a folder those of config.json and generation_config.json; what describes the
     * tokenizer, the split or the file itself is not among them. Where {@value #MANY} or more begin alike they are one line.
     *
     * @throws ModelException as {@link #spec}
     */
    public static List<String> unused(ModelFile file) {
        Reading reading = new Reading(file);
        read(reading);
        List<String> unused = new ArrayList<>(grouped(reading.unreadKeys(), "keys"));
        unused.addAll(grouped(reading.unreadTensors(), "tensors"));
        return unused;
    }

    /** What is many under one name, such as the part of a model that sees images, becomes one line. */
    private static List<String> grouped(List<String> names, String what) {
        Map<String, Long> sizes = names.stream().collect(Collectors.groupingBy(Decoder::group, Collectors.counting()));
        Set<String> lines = new LinkedHashSet<>();
        for (String name : names) {
            long size = sizes.getOrDefault(group(name), 0L);
            lines.add(size < MANY ? name : group(name) + ".* (" + size + " " + what + ")");
        }
        return List.copyOf(lines);
    }

    private static String group(String name) {
        int dot = name.indexOf('.');
        return dot < 0 ? name : name.substring(0, dot);
    }

    /** What of its family's features a model has, in words for people. */
    public static List<String> features(ModelFile file, ModelSpec spec) {
        Reading reading = new Reading(file);
        return Features.of(spec, Families.of(reading).weights(reading, spec));
    }

    /**
     * Bytes of a model's matrices as they will be placed; of formats whose rows differ in length the most that they can take.
     *
     * @param tables what the embedding and the output head are re-encoded in; null: as the file has them
     * @param blocks the same of the layers' matrices
     */
    public static long weightBytes(ModelFile file, ModelSpec spec, @Nullable Format tables, @Nullable Format blocks) {
        Reading reading = new Reading(file);
        Weights w = Families.of(reading).weights(reading, spec);
        long bytes = bytes(w.embedding(), tables);
        if (w.output() != null) bytes = Math.addExact(bytes, bytes(w.output().weight(), tables));
        List<Tensor> all = new ArrayList<>();
        for (Weights.Layer l : w.layers()) {
            Weights.AttentionBlock a = l.attention();
            Weights.FeedForward f = l.ffn();
            if (a != null) for (Projection p : List.of(a.q(), a.k(), a.v(), a.output())) all.add(p.weight());
            if (f == null) continue;
            if (f.gate() != null) all.add(f.gate().weight());
            all.add(f.up().weight());
            all.add(f.down().weight());
        }
        for (Tensor t : all) bytes = Math.addExact(bytes, bytes(t, blocks));
        return bytes;
    }

    private static long bytes(Tensor t, @Nullable Format to) {
        // what cannot be packed is refused by name when it is
        return t.bytesAs(to == null || !to.packs(t.cols()) ? t.format() : to);
    }

    /**
     * Places a model's weights.
     *
     * @param spec      what {@link #spec} read, or a subset of its layers
     * @param positions the most positions of a sequence, for the rotation tables
     * @param policy    inputs wanted for block formats
     * @param encoding  applied to each matrix before it is placed: identity, or a re-encoding
     */
    public static Decoder place(ModelFile file, ModelSpec spec, CheckedOps ops, int positions, InputPolicy policy,
            UnaryOperator<Tensor> encoding) {
        return place(file, spec, ops, positions, policy, encoding, encoding);
    }

    /**
     * The same with the embedding and the output head encoded in their own way.
     *
     * @param tables applied to those two, or to the one that they share
     * @param blocks applied to the layers' matrices
     */
    public static Decoder place(ModelFile file, ModelSpec spec, CheckedOps ops, int positions, InputPolicy policy,
            UnaryOperator<Tensor> tables, UnaryOperator<Tensor> blocks) {
        Reading reading = new Reading(file);
        return new Decoder(spec, Families.of(reading).weights(reading, spec), ops, positions, policy, tables, blocks);
    }

    Decoder(ModelSpec spec, Weights w, CheckedOps ops, int positions, InputPolicy policy, UnaryOperator<Tensor> tables,
            UnaryOperator<Tensor> blocks) {
        this.spec = spec;
        this.ops = ops;
        Placement head = new Placement(spec, ops, positions, policy, tables, new HashMap<>());
        Placement place = new Placement(spec, ops, positions, policy, blocks, new HashMap<>());
        Tensor table = tables.apply(w.embedding());
        Weight tokens = ops.place(List.of(table), policy.fit(List.of(table)),
                w.output() == null ? EnumSet.of(Use.EMBED, Use.PRODUCT) : EnumSet.of(Use.EMBED)).getFirst();
        Weight learned = w.positions() == null ? null : ops.place(List.of(w.positions()), InputPolicy.F32, Set.of(Use.EMBED)).getFirst();
        if (learned != null && positions > learned.rows() - spec.positionOffset()) {
            throw new ModelException(
                    spec.name() + " has " + (learned.rows() - spec.positionOffset()) + " learned positions, not " + positions
                            + "; choose a smaller context");
        }
        embedding = new Embedding(tokens, spec.embeddingScale(), learned, spec.positionOffset());
        output = w.output() == null ? new Linear(tokens, null) : head.linear(w.output());
        norm = place.norm(w.norm());
        layers = new ArrayList<>();
        for (int l = 0; l < w.layers().size(); l++) {
            ModelSpec.Layer shape = spec.layers().get(l);
            Weights.AttentionBlock a = w.layers().get(l).attention();
            Weights.FeedForward f = w.layers().get(l).ffn();
            layers.add(new Layer(a == null ? null : place.attention(a, shape), f == null ? null : place.ffn(f, shape)));
        }
    }

    /** Turns tensors into what the operations take. */
    private record Placement(ModelSpec spec, CheckedOps ops, int positions, InputPolicy policy, UnaryOperator<Tensor> encoding,
            Map<Optional<RopeSpec>, Rope> ropes) {
        /** Places projections of one input. */
        List<Linear> linear(List<Projection> projections) {
            List<Tensor> encoded = projections.stream().map(Projection::weight).map(encoding).toList();
            List<Weight> weights = ops.place(encoded, policy.fit(encoded), Set.of(Use.PRODUCT));
            List<Linear> placed = new ArrayList<>();
            for (int i = 0; i < weights.size(); i++) {
                Tensor bias = projections.get(i).bias();
                placed.add(new Linear(weights.get(i), bias == null ? null : ops.values(bias.toFloats())));
            }
            return placed;
        }

        Linear linear(Projection p) {
            return linear(List.of(p)).getFirst();
        }

        Norm norm(Gain g) {
            Tensor bias = g.bias();
            return new Norm(spec.norms(), ops.values(g.gain().toFloats()), bias == null ? null : ops.values(bias.toFloats()),
                    spec.normEps());
        }

        private @Nullable Norm post(@Nullable Gain g) {
            return g == null ? null : norm(g);
        }

        /** One table for all layers that rotate alike. */
        private Rope rope(@Nullable RopeSpec r) {
            return ropes.computeIfAbsent(Optional.ofNullable(r), key -> r == null
                    ? new Rope(ops.values(new float[0]), 0, spec.headSize(), false)
                    : new Rope(ops.values(r.table(positions)), r.dims(), spec.headSize(), r.interleaved()));
        }

        AttentionBlock attention(Weights.AttentionBlock a, ModelSpec.Layer shape) {
            List<Linear> qkv = linear(List.of(a.q(), a.k(), a.v()));
            HeadGains gains = a.heads();
            HeadNorm headNorm = gains == null
                    ? null
                    : new HeadNorm(ops.values(gains.q().toFloats()), ops.values(gains.k().toFloats()), spec.normEps());
            Attention heads = new Attention(shape.kvOf(), spec.headSize(), spec.attentionScale(), shape.window(), spec.attentionCap());
            return new AttentionBlock(norm(a.norm()), new Qkv(qkv.get(0), qkv.get(1), qkv.get(2)), headNorm, rope(shape.rope()), heads,
                    linear(a.output()), post(a.post()));
        }

        FeedForward ffn(Weights.FeedForward f, ModelSpec.Layer shape) {
            Projection gate = f.gate();
            List<Linear> in = linear(gate == null ? List.of(f.up()) : List.of(gate, f.up()));
            Linear down = linear(f.down());
            Ffn ffn = gate == null
                    ? new Ffn.Plain(in.getFirst(), down, spec.activation())
                    : new Ffn.Gated(in.get(0), in.get(1), down, spec.activation());
            return new FeedForward(norm(f.norm()), ffn, shape.ffn(), post(f.post()));
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

    /** How tokens become rows. */
    public Embedding embedding() {
        return embedding;
    }

    /** What makes logits; its weight is the embedding's table where the two are tied. */
    public Linear output() {
        return output;
    }

    /** The weights of all layers' products, each of which every row of a step is multiplied with. */
    public List<Weight> products() {
        List<Weight> all = new ArrayList<>();
        for (Layer l : layers) {
            if (l.attention != null) {
                Qkv qkv = l.attention.qkv;
                for (Linear w : List.of(qkv.q(), qkv.k(), qkv.v(), l.attention.output)) all.add(w.weight());
            }
            if (l.ffn != null) {
                if (l.ffn.ffn instanceof Ffn.Gated g) all.add(g.gate().weight());
                Linear up = switch (l.ffn.ffn) {
                    case Ffn.Gated g -> g.up();
                    case Ffn.Plain p -> p.up();
                };
                all.add(up.weight());
                all.add(l.ffn.ffn.down().weight());
            }
        }
        return all;
    }

    Norm norm() {
        return norm;
    }

    List<Layer> layers() {
        return layers;
    }
}
