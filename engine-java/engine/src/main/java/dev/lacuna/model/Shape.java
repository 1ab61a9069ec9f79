package dev.lacuna.model;

import dev.lacuna.model.ModelSpec.Layer;
import dev.lacuna.model.RopeSpec.Scaling;
import dev.lacuna.ops.Activation;
import dev.lacuna.ops.Norm;
import dev.lacuna.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What the metadata of all families has in common, read from the keys of one architecture.
 *
 * @param heads   query heads of each layer
 * @param kvHeads key/value heads of each layer
 * @param ffn     widths of the feed-forward blocks
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record Shape(Reading file, Keys keys, int dim, int headSize, int context, int[] heads, int[] kvHeads, int[] ffn) {
    private static final int MAX_WIDTH = 1 << 20;
    private static final int MAX_LAYERS = 1 << 12;
    private static final int MAX_CONTEXT = 1 << 24;
    /** Keys that change what a model computes in ways that no family here knows. */
    private static final List<String> REFUSED = List.of("expert_count", "leading_dense_block_count", "attention.clamp_kqv",
            "attention.max_alibi_bias", "attention.shared_kv_layers", "attention.q_lora_rank", "attention.kv_lora_rank", "logit_scale",
            "residual_scale", "embedding_scale", "use_parallel_residual", "altup.num_inputs", "embedding_length_per_layer_input");

    static Shape of(Reading file, String architecture) {
        Keys keys = new Keys(file, architecture + ".");
        for (String key : REFUSED) {
            Object v = keys.value(key).orElse(0L);
            boolean off = v.equals(false) || (v instanceof Number n && n.doubleValue() == 0);
            if (!off) throw keys.bad(key, "is " + v + ": that is not supported, a dense decoder without it is");
        }
        if (!keys.flag("attention.causal").orElse(true)) throw keys.bad("attention.causal", "is false: only causal attention is supported");
        int dim = keys.positive("embedding_length", MAX_WIDTH);
        int count = keys.positive("block_count", MAX_LAYERS);
        int[] heads = keys.perLayer("attention.head_count", count, MAX_WIDTH);
        int[] kvHeads = keys.has("attention.head_count_kv") ? keys.perLayer("attention.head_count_kv", count, MAX_WIDTH) : heads;
        int[] ffn = keys.perLayer("feed_forward_length", count, MAX_WIDTH);
        int most = 0;
        for (int l = 0; l < count; l++) most = Math.max(most, kvHeads[l] == 0 ? 0 : heads[l]);
        if (most == 0) throw new ModelException(file.name() + ": no layer has attention heads");
        int headSize = keys.integer("attention.key_length", MAX_WIDTH).orElse(dim / most);
        int valueSize = keys.integer("attention.value_length", MAX_WIDTH).orElse(headSize);
        if (headSize != valueSize) {
            throw new ModelException(
                    file.name() + ": keys of " + headSize + " and values of " + valueSize + " are not supported, equal sizes are");
        }
        if (headSize < 1) throw new ModelException(file.name() + ": " + most + " heads of " + dim + " values leave nothing for a head");
        return new Shape(file, keys, dim, headSize, keys.positive("context_length", MAX_CONTEXT), heads, kvHeads, ffn);
    }

    int count() {
        return heads.length;
    }

    /** Layers that see everything, with the same rotary embedding. */
    List<Layer> layers(@Nullable RopeSpec rope) {
        List<Layer> layers = new ArrayList<>();
        for (int l = 0; l < count(); l++) layers.add(Layer.grouped(l, kvHeads[l] == 0 ? 0 : heads[l], kvHeads[l], ffn[l], rope));
        return layers;
    }

    /**
     * Layers that see a window where the file says so.
     *
     * @param window positions seen where the file has a pattern and no window; 0: all
     * @param every  of so many layers the last sees everything, where the file has no pattern; 0: none does
     * @param global rotary embedding of layers that see everything
     * @param local  rotary embedding of the others
     */
    List<Layer> windows(int window, int every, @Nullable RopeSpec global, @Nullable RopeSpec local) {
        int positions = keys.integer("attention.sliding_window", MAX_CONTEXT * 64).orElse(window);
        Object pattern = keys.value("attention.sliding_window_pattern").orElse((long) every);
        List<Layer> layers = new ArrayList<>();
        for (Layer l : layers(global)) {
            boolean slides = positions > 0 && switch (pattern) {
                case Long n when n >= 0 -> n == 0 || l.index() % n < n - 1;
                case boolean[] a when a.length == count() -> a[l.index()];
                case int[] a when a.length == count() -> a[l.index()] != 0;
                default -> throw keys.bad("attention.sliding_window_pattern", "is neither a number nor one for each layer");
            };
            layers.add(slides ? l.withWindow(positions).withRope(local) : l);
        }
        return layers;
    }

    /** The rotary embedding that the file describes; {@code interleaved} where neighbours pair. */
    RopeSpec rope(boolean interleaved) {
        int dims = keys.integer("rope.dimension_count", headSize).orElse(headSize);
        if (dims % 2 != 0) throw keys.bad("rope.dimension_count", "is " + dims + ", which is odd");
        keys.has("rope.scaling.finetuned");
        return new RopeSpec(dims, keys.real("rope.freq_base").orElse(10_000.0), interleaved, scaling(dims));
    }

    private Scaling scaling(int dims) {
        int original = keys.integer("rope.scaling.original_context_length", MAX_CONTEXT).orElse(context);
        String type = keys.text("rope.scaling.type").orElse("none").toLowerCase(Locale.ROOT);
        Optional<Double> given = keys.real("rope.scaling.factor").or(() -> keys.real("rope.scale_linear"));
        double factor = given.orElse(1.0);
        if (file.has("rope_freqs.weight")) return new Scaling.Divisors(divisors("rope_freqs.weight", dims));
        if (file.has("rope_factors_long.weight")) {
            double stretch = given.orElse((double) context / original);
            double attention = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(original));
            return new Scaling.LongRope(divisors("rope_factors_short.weight", dims), divisors("rope_factors_long.weight", dims), original,
                    keys.real("rope.scaling.attn_factor").orElse(attention));
        }
        return switch (type) {
            case "none" -> given.isPresent() ? new Scaling.Linear(factor) : new Scaling.None();
            case "linear" -> new Scaling.Linear(factor);
            case "ntk" -> new Scaling.Ntk(factor);
            case "dynamic" -> new Scaling.Dynamic(factor, original);
            case "yarn" -> new Scaling.Yarn(factor, original, keys.real("rope.scaling.yarn_beta_fast").orElse(32.0),
                    keys.real("rope.scaling.yarn_beta_slow").orElse(1.0), keys.flag("rope.scaling.yarn_truncate").orElse(true),
                    keys.real("rope.scaling.yarn_attn_factor").or(() -> keys.real("rope.scaling.attn_factor")).orElse(0.0));
            case "llama3" -> new Scaling.Llama3(factor, keys.real("rope.scaling.low_freq_factor").orElse(1.0),
                    keys.real("rope.scaling.high_freq_factor").orElse(4.0), original);
            default -> throw keys.bad("rope.scaling.type", "'" + type
                    + "' is not supported; supported: none, linear, ntk, dynamic, yarn, llama3, rope_freqs.weight, rope_factors_long.weight");
        };
    }

    private float[] divisors(String name, int dims) {
        Tensor t = file.tensor(name);
        if (t.rows() * (long) t.cols() != dims / 2) {
            throw new ModelException(
                    file.name() + ": " + name + " has " + t.rows() * (long) t.cols() + " values for " + dims / 2 + " pairs");
        }
        return t.toFloats();
    }

    /** The function of the feed-forward blocks, where the file names one. */
    Activation activation(Activation usual) {
        return keys.text("hidden_activation").map(f -> switch (f) {
            case "silu", "swish" -> Activation.SILU;
            case "gelu" -> Activation.GELU_ERF;
            case "gelu_pytorch_tanh", "gelu_new", "gelu_fast" -> Activation.GELU_TANH;
            case "relu" -> Activation.RELU;
            default -> throw keys.bad("hidden_activation",
                    "'" + f + "' is not supported; supported: silu, gelu, gelu_pytorch_tanh, gelu_new, gelu_fast, relu");
        }).orElse(usual);
    }

    /** A spec with RMS norms, plain embeddings, scores over the root of the head size, and no caps. */
    ModelSpec spec(String family, Activation usual, List<Layer> layers) {
        return spec(family, usual, layers, Norm.Kind.RMS, keys.real("attention.layer_norm_rms_epsilon").orElse(1e-5));
    }

    /** The same with layer norms. */
    ModelSpec layerNormed(String family, Activation usual, List<Layer> layers) {
        return spec(family, usual, layers, Norm.Kind.LAYER, keys.real("attention.layer_norm_epsilon").orElse(1e-5));
    }

    private ModelSpec spec(String family, Activation usual, List<Layer> layers, Norm.Kind norms, double eps) {
        Tensor embedding = file.tensor("token_embd.weight");
        if (embedding.cols() != dim)
            throw keys.bad("embedding_length", "is " + dim + ", token_embd.weight has " + embedding.cols() + " columns");
        keys.has("vocab_size"); // token_embd.weight says it
        String name = file.key("general.name") instanceof String s ? s : file.name();
        return new ModelSpec(family, name, embedding.rows(), dim, headSize, layers, activation(usual), norms, (float) eps, 1, 0,
                (float) keys.real("attention.scale").orElse(1 / Math.sqrt(headSize)).doubleValue(), 0, 0, context);
    }
}
