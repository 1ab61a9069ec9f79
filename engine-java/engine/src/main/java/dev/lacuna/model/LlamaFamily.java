package dev.lacuna.model;

import dev.lacuna.files.ModelFile;
import dev.lacuna.model.ModelSpec.Layer;
import dev.lacuna.model.RopeSpec.Scaling;
import dev.lacuna.model.Weights.AttentionBlock;
import dev.lacuna.model.Weights.FeedForward;
import dev.lacuna.model.Weights.Projection;
import dev.lacuna.ops.Activation;
import dev.lacuna.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * Llama 1 to 3.x and what shares its shape: SmolLM2, TinyLlama, Mistral, Alpaca, Vicuna, WizardLM. RMS norms before each block, rotary positions,
 * grouped queries, SwiGLU.
 */
final class LlamaFamily implements Family {
    private static final int MAX_WIDTH = 1 << 20;
    private static final int MAX_LAYERS = 1 << 12;

    @Override
    public List<String> architectures() {
        return List.of("llama");
    }

    @Override
    public List<String> modelTypes() {
        return List.of("llama", "mistral");
    }

    @Override
    public ModelSpec spec(ModelFile file) {
        Keys keys = new Keys(file, "llama.");
        if (keys.has("expert_count")) {
            throw new ModelException(
                    file.path().getFileName() + ": llama.expert_count: mixtures of experts are not supported, dense feed-forward is");
        }
        int dim = keys.positive("embedding_length", MAX_WIDTH);
        int count = keys.positive("block_count", MAX_LAYERS);
        int[] heads = keys.perLayer("attention.head_count", count, MAX_WIDTH);
        int[] kvHeads = keys.has("attention.head_count_kv") ? keys.perLayer("attention.head_count_kv", count, MAX_WIDTH) : heads;
        int[] ffn = keys.perLayer("feed_forward_length", count, MAX_WIDTH);
        List<Layer> layers = new ArrayList<>();
        int most = 0;
        for (int l = 0; l < count; l++) {
            layers.add(Layer.grouped(l, kvHeads[l] == 0 ? 0 : heads[l], kvHeads[l], ffn[l]));
            most = Math.max(most, heads[l]);
        }
        if (most == 0) throw new ModelException(file.path().getFileName() + ": no layer has attention heads");
        int headSize = keys.integer("attention.key_length", MAX_WIDTH).orElse(dim / most);
        int valueSize = keys.integer("attention.value_length", MAX_WIDTH).orElse(headSize);
        if (headSize != valueSize) {
            throw new ModelException(file.path().getFileName() + ": keys of " + headSize + " and values of " + valueSize
                    + " are not supported, equal sizes are");
        }
        int rotary = keys.integer("rope.dimension_count", headSize).orElse(headSize);
        if (rotary % 2 != 0) throw new ModelException(file.path().getFileName() + ": llama.rope.dimension_count " + rotary + " is odd");
        int context = keys.positive("context_length", 1 << 24);
        RopeSpec rope = new RopeSpec(rotary, keys.real("rope.freq_base").orElse(10_000.0), !keys.has("rope.halves"), scaling(file, keys, rotary, context));
        Tensor embedding = file.tensor("token_embd.weight");
        if (embedding.cols() != dim) {
            throw new ModelException(file.path().getFileName() + ": token_embd.weight has " + embedding.cols()
                    + " columns, llama.embedding_length is " + dim);
        }
        double eps = keys.real("attention.layer_norm_rms_epsilon").orElse(1e-5);
        String name = file.metadata().get("general.name") instanceof String s ? s : String.valueOf(file.path().getFileName());
        return new ModelSpec("llama", name, embedding.rows(), dim, headSize, layers, Activation.SILU, rope,
                (float) (1 / Math.sqrt(headSize)), (float) eps,
                context);
    }

    private static Scaling scaling(ModelFile file, Keys keys, int rotary, int context) {
        Optional<Tensor> divisors = file.find("rope_freqs.weight");
        if (divisors.isPresent()) {
            Tensor t = divisors.get();
            if (t.rows() * t.cols() != rotary / 2) {
                throw new ModelException(file.path().getFileName() + ": rope_freqs.weight has " + t.rows() * t.cols() + " values for "
                        + rotary / 2 + " pairs");
            }
            return new Scaling.Divisors(t.toFloats());
        }
        String type = keys.text("rope.scaling.type").orElse("none").toLowerCase(Locale.ROOT);
        double factor = keys.real("rope.scaling.factor").or(() -> keys.real("rope.scale_linear")).orElse(1.0);
        int original = keys.integer("rope.scaling.original_context_length", 1 << 24).orElse(context);
        return switch (type) {
            case "none" -> keys.has("rope.scale_linear") ? new Scaling.Linear(factor) : new Scaling.None();
            case "linear" -> new Scaling.Linear(factor);
            case "ntk", "dynamic" -> new Scaling.Ntk(factor);
            case "yarn" -> new Scaling.Yarn(factor, original, keys.real("rope.scaling.yarn_beta_fast").orElse(32.0),
                    keys.real("rope.scaling.yarn_beta_slow").orElse(1.0), keys.real("rope.scaling.attn_factor").orElse(0.0));
            case "llama3" -> new Scaling.Llama3(factor, keys.real("rope.scaling.low_freq_factor").orElse(1.0),
                    keys.real("rope.scaling.high_freq_factor").orElse(4.0), original);
            default -> throw new ModelException(file.path().getFileName() + ": rope scaling '" + type
                    + "' is not supported; supported: none, linear, ntk, yarn, llama3, rope_freqs.weight");
        };
    }

    @Override
    public Weights weights(ModelFile file, ModelSpec spec) {
        Shapes shapes = new Shapes(file);
        int dim = spec.dim();
        List<Weights.Layer> layers = new ArrayList<>();
        for (Layer l : spec.layers()) {
            String at = "blk." + l.index() + ".";
            int q = l.heads() * spec.headSize();
            int kv = l.kvHeads() * spec.headSize();
            AttentionBlock attention = l.heads() == 0
                    ? null
                    : new AttentionBlock(shapes.vector(at + "attn_norm.weight", dim), projection(shapes, at + "attn_q", q, dim),
                            projection(shapes, at + "attn_k", kv, dim), projection(shapes, at + "attn_v", kv, dim),
                            projection(shapes, at + "attn_output", dim, q));
            FeedForward ffn = l.ffn() == 0
                    ? null
                    : new FeedForward(shapes.vector(at + "ffn_norm.weight", dim), projection(shapes, at + "ffn_gate", l.ffn(), dim),
                            projection(shapes, at + "ffn_up", l.ffn(), dim), projection(shapes, at + "ffn_down", dim, l.ffn()));
            layers.add(new Weights.Layer(attention, ffn));
        }
        Tensor output = file.find("output.weight").isPresent() ? shapes.matrix("output.weight", spec.vocabulary(), dim) : null;
        return new Weights(shapes.matrix("token_embd.weight", spec.vocabulary(), dim), layers, shapes.vector("output_norm.weight", dim),
                output);
    }

    private static Projection projection(Shapes shapes, String name, int rows, int cols) {
        Tensor bias = shapes.file().find(name + ".bias").isPresent() ? shapes.vector(name + ".bias", rows) : null;
        return new Projection(shapes.matrix(name + ".weight", rows, cols), bias);
    }
}
