package dev.lacuna.model;

import dev.lacuna.files.GgufView;
import dev.lacuna.files.ModelFile;
import dev.lacuna.files.Safetensors;
import dev.lacuna.tensor.Codec;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * How a Hugging Face folder is read: config.json's names as GGUF's keys, its tensors by GGUF's names. Most families share the tables here; one that
 * differs says so in {@link Family#folder}. Rotary pairs are halves of a head in every folder, which the key {@code rope.halves} says.
 */
final class FolderMapping {
    private static final Pattern LAYER = Pattern
            .compile("(?:model\\.layers|model\\.decoder\\.layers|decoder\\.layers|transformer\\.h|h)\\.(\\d{1,5})\\.(.+)\\.(weight|bias)");
    private static final Pattern COMPUTED = Pattern.compile("(?:.*\\.)?(?:rotary_emb\\.inv_freq|attn\\.(?:masked_)?bias)");
    private static final Pattern OUTSIDE = Pattern.compile("(.+)\\.(weight|bias)");
    private static final Set<String> TYPES = Set.of("float32", "float16", "bfloat16");

    private static final Map<String, List<String>> KEYS = Map.ofEntries(Map.entry("embedding_length", List.of("hidden_size", "n_embd")),
            Map.entry("block_count", List.of("num_hidden_layers", "n_layer")),
            Map.entry("attention.head_count", List.of("num_attention_heads", "n_head")),
            Map.entry("attention.head_count_kv", List.of("num_key_value_heads")),
            Map.entry("feed_forward_length", List.of("intermediate_size", "ffn_dim", "n_inner")),
            Map.entry("context_length", List.of("max_position_embeddings", "n_positions", "n_ctx")),
            Map.entry("attention.layer_norm_rms_epsilon", List.of("rms_norm_eps")),
            Map.entry("attention.layer_norm_epsilon", List.of("layer_norm_epsilon", "layer_norm_eps")),
            Map.entry("attention.key_length", List.of("head_dim")), Map.entry("attention.value_length", List.of("head_dim")),
            Map.entry("hidden_activation", List.of("hidden_activation", "hidden_act", "activation_function")),
            Map.entry("vocab_size", List.of("vocab_size")), Map.entry("expert_count", List.of("num_local_experts", "num_experts")),
            Map.entry("attn_logit_softcapping", List.of("attn_logit_softcapping")),
            Map.entry("final_logit_softcapping", List.of("final_logit_softcapping")));

    private final Safetensors folder;
    private final ConfigKeys config;
    private final String architecture;
    private final GgufView view;
    private final Map<String, String> layer = new HashMap<>();
    private final Map<String, String> outside = new HashMap<>();
    private final Map<String, GgufView.Recipe> recipes = new HashMap<>();

    private FolderMapping(Safetensors folder, String architecture) {
        this.folder = folder;
        this.architecture = architecture;
        config = new ConfigKeys(folder);
        view = new GgufView(folder);
        module("self_attn.q_proj", "attn_q").module("self_attn.k_proj", "attn_k").module("self_attn.v_proj", "attn_v")
                .module("self_attn.qkv_proj", "attn_qkv").module("self_attn.o_proj", "attn_output")
                .module("self_attn.q_norm", "attn_q_norm")
                .module("self_attn.k_norm", "attn_k_norm").module("mlp.gate_proj", "ffn_gate").module("mlp.up_proj", "ffn_up")
                .module("mlp.gate_up_proj", "ffn_up").module("mlp.down_proj", "ffn_down").module("input_layernorm", "attn_norm")
                .module("post_attention_layernorm", "ffn_norm");
        outside("model.embed_tokens", "token_embd").outside("model.norm", "output_norm").outside("lm_head", "output");
    }

    /** A file by GGUF's names, and the keys of config.json that nothing here understands. */
    record Read(ModelFile file, List<String> unread) {}

    /**
     * A folder by GGUF's names; any other file as it is.
     *
     * @throws ModelException if its {@code model_type} or number format is not supported, naming those that are
     */
    static Read read(ModelFile file) {
        if (!(file instanceof Safetensors folder)) return new Read(file, List.of());
        Object type = folder.metadata().get("model_type");
        Family family = Families.ALL.stream().filter(f -> f.modelTypes().contains(String.valueOf(type))).findFirst().orElse(null);
        if (family == null) {
            throw new ModelException(folder.path().getFileName() + ": config.json: "
                    + (type == null ? "no model_type" : "model_type '" + type + "' is not supported") + "; supported: "
                    + Families.ALL.stream().flatMap(f -> f.modelTypes().stream()).sorted().collect(Collectors.joining(", ")));
        }
        FolderMapping mapping = new FolderMapping(folder, family.architectures().getFirst());
        mapping.value("model_type");
        family.folder(mapping);
        mapping.config();
        return new Read(mapping.tensors(), mapping.config.unread());
    }

    ModelException bad(String key, String why) {
        return config.bad(key, why);
    }

    // ---- what families say

    /** A module of a layer, by its name there and here. */
    FolderMapping module(String from, String to) {
        layer.put(from, to);
        return this;
    }

    /** A module outside the layers. */
    FolderMapping outside(String from, String to) {
        outside.put(from, to);
        return this;
    }

    /** The weights of modules of these names here are stored {@code [in x out]}. */
    void transposed(String... modules) {
        for (String to : modules) recipes.put(to, FolderMapping::transpose);
    }

    /** The gains of norms of these names here are stored less one. */
    void plusOne(String... modules) {
        for (String to : modules) recipes.put(to, FolderMapping::addOne);
    }

    /** Refuses a flag of config.json that is there and is another. */
    void require(String key, boolean supported) {
        require(key, supported, "which is not supported");
    }

    /** Refuses a flag that is there and is another, saying what that means. */
    void require(String key, boolean supported, String why) {
        value(key).filter(v -> !v.equals(supported)).ifPresent(v -> {
            throw bad(key, "is " + v + ", " + why);
        });
    }

    /** Sets a key under the architecture's prefix. */
    FolderMapping key(String key, Object value) {
        view.put(architecture + "." + key, value);
        return this;
    }

    /** What holds where config.json has no such key: transformers' default for the family, where it is not everyone's. */
    FolderMapping otherwise(String key, Object value) {
        config.otherwise(key, value);
        return this;
    }

    /** The first of these that config.json has. */
    Optional<Object> value(String... keys) {
        return config.value(keys);
    }

    /** A number of config.json. */
    Optional<Double> real(String... keys) {
        return config.real(keys);
    }

    // ---- keys

    private void config() {
        value("torch_dtype", "dtype").ifPresent(type -> {
            if (!TYPES.contains(type))
                throw bad("torch_dtype", "'" + type + "' is not supported; supported: " + String.join(", ", new TreeSet<>(TYPES)));
        });
        view.put("general.architecture", architecture);
        value("_name_or_path").filter(n -> !n.equals("")).ifPresent(n -> view.put("general.name", n));
        KEYS.forEach((key, names) -> value(names.toArray(String[]::new)).ifPresent(v -> key(key, v)));
        windows();
        // one rotation for all layers, or one for each kind of layer
        String full = value("rope_parameters.full_attention.rope_theta", "rope_parameters.full_attention.rope_type").isPresent()
                ? "rope_parameters.full_attention."
                : "rope_parameters.";
        value(full + "rope_theta", "rope_theta").ifPresent(v -> key("rope.freq_base", v));
        value("rope_parameters.sliding_attention.rope_theta", "rope_local_base_freq").ifPresent(v -> key("rope.freq_base_swa", v));
        real(full + "partial_rotary_factor", "partial_rotary_factor").ifPresent(f -> key("rope.dimension_count", (long) (headSize() * f)));
        value("rope_parameters.sliding_attention.rope_type").filter(t -> !t.equals("default")).ifPresent(t -> {
            throw bad("rope_parameters.sliding_attention.rope_type", "'" + t + "' is not supported; supported: default");
        });
        String at = value("rope_scaling.rope_type", "rope_scaling.type").isPresent() ? "rope_scaling." : full;
        scaling(at, String.valueOf(value(at + "rope_type", at + "type").orElse("default")).toLowerCase(Locale.ROOT));
    }

    private double headSize() {
        return real("head_dim").orElseGet(() -> {
            double heads = real("num_attention_heads").orElse(0.0);
            if (heads <= 0) throw bad("num_attention_heads", "is missing");
            return real("hidden_size").orElse(0.0) / heads;
        });
    }

    /** The window, and which layers have it. */
    private void windows() {
        Optional<Object> window = value("sliding_window");
        Optional<Object> use = value("use_sliding_window");
        Optional<Double> first = real("max_window_layers");
        Optional<Object> every = value("sliding_window_pattern", "_sliding_window_pattern");
        boolean[] windowed = value("layer_types").map(this::windowed).orElse(null);
        if (window.isEmpty() || use.equals(Optional.of(false))) return;
        key("attention.sliding_window", window.get());
        if (windowed != null) {
            key("attention.sliding_window_pattern", windowed);
        } else if (use.equals(Optional.of(true))) {
            // Qwen: the first layers see everything
            int layers = real("num_hidden_layers").orElse(0.0).intValue();
            boolean[] late = new boolean[Math.clamp(layers, 0, 1 << 12)];
            for (int i = 0; i < late.length; i++) late[i] = i >= first.orElse(0.0);
            key("attention.sliding_window_pattern", late);
        } else {
            every.ifPresent(n -> key("attention.sliding_window_pattern", n));
        }
    }

    private boolean[] windowed(Object layerTypes) {
        if (!(layerTypes instanceof String[] types)) throw bad("layer_types", "is not a list of strings");
        boolean[] windowed = new boolean[types.length];
        for (int i = 0; i < types.length; i++) {
            windowed[i] = switch (types[i]) {
                case "sliding_attention" -> true;
                case "full_attention" -> false;
                default -> throw bad("layer_types", "'" + types[i] + "' is not supported; supported: full_attention, sliding_attention");
            };
        }
        return windowed;
    }

    private void scaling(String at, String type) {
        double context = real("max_position_embeddings", "n_positions").orElse(0.0);
        Optional<Double> original = real(at + "original_max_position_embeddings", "original_max_position_embeddings");
        Map<String, String> numbers = switch (type) {
            case "default", "none" -> Map.of();
            case "linear", "dynamic" -> Map.of("factor", "factor");
            case "llama3" -> Map.of("factor", "factor", "low_freq_factor", "low_freq_factor", "high_freq_factor", "high_freq_factor");
            case "yarn" -> Map.of("factor", "factor", "beta_fast", "yarn_beta_fast", "beta_slow", "yarn_beta_slow");
            case "longrope", "su" -> Map.of();
            default ->
                throw bad(at + "rope_type", "'" + type + "' is not supported; supported: default, linear, dynamic, yarn, llama3, longrope");
        };
        if (type.equals("default") || type.equals("none")) return;
        key("rope.scaling.type", type.equals("su") ? "longrope" : type);
        numbers.forEach((from, to) -> value(at + from).ifPresent(v -> key("rope.scaling." + to, v)));
        key("rope.scaling.original_context_length", original.orElse(context).longValue());
        value(at + "truncate").ifPresent(v -> key("rope.scaling.yarn_truncate", v));
        Optional<Double> attention = real(at + "attention_factor");
        if (type.equals("yarn")) {
            attention = attention
                    .or(() -> real(at + "mscale").flatMap(m -> real(at + "mscale_all_dim").map(all -> mscale(at, m) / mscale(at, all))));
        }
        if (numbers.isEmpty()) {
            double trained = original.orElseThrow(() -> bad("original_max_position_embeddings", "is missing, which longrope needs"));
            double factor = context / trained;
            if (attention.isEmpty()) attention = Optional.of(factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(trained)));
            view.add(factors("rope_factors_long.weight", at + "long_factor"))
                    .add(factors("rope_factors_short.weight", at + "short_factor"));
        }
        attention.ifPresent(a -> key("rope.scaling.attn_factor", a));
    }

    private double mscale(String at, double m) {
        double factor = real(at + "factor").orElse(1.0);
        return factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1;
    }

    private Tensor factors(String name, String key) {
        float[] values = switch (value(key).orElse(null)) {
            case double[] d when d.length > 0 -> floats(d);
            case long[] l when l.length > 0 -> floats(java.util.Arrays.stream(l).asDoubleStream().toArray());
            case null, default -> throw bad(key, "is not a list of numbers");
        };
        return vector(name, values, Arena.ofAuto());
    }

    private static float[] floats(double[] values) {
        float[] out = new float[values.length];
        for (int i = 0; i < out.length; i++) out[i] = (float) values[i];
        return out;
    }

    // ---- tensors

    private GgufView tensors() {
        Optional<Object> tied = value("tie_word_embeddings");
        for (String source : folder.names()) {
            String name = gguf(text(source));
            if (name == null || (tied.equals(Optional.of(true)) && name.startsWith("output."))) continue;
            String module = name.replaceFirst("^blk\\.\\d+\\.", "").replaceFirst("\\.(weight|bias)$", "");
            view.name(name, source, name.endsWith(".weight") ? recipes.get(module) : null);
        }
        if (tied.equals(Optional.of(false)) && !view.names().contains("output.weight"))
            throw bad("tie_word_embeddings", "is false, and there is no lm_head.weight");
        return view;
    }

    /** A tensor of a model of text and images by the name that it would have without the images; transformers has written it in two ways. */
    private static String text(String name) {
        return name.replaceFirst("^(?:model\\.)?language_model\\.(?=lm_head\\.)", "")
                .replaceFirst("^(?:model\\.)?language_model\\.(?:model\\.)?", "model.");
    }

    /** A tensor's name here, which is its own where it is not known; null for what is computed and need not be read. */
    private @Nullable String gguf(String name) {
        if (COMPUTED.matcher(name).matches()) return null;
        Matcher in = LAYER.matcher(name);
        if (in.matches())
            return "blk." + Integer.parseInt(in.group(1)) + "." + layer.getOrDefault(in.group(2), in.group(2)) + "." + in.group(3);
        Matcher out = OUTSIDE.matcher(name);
        String module = out.matches() ? outside.get(out.group(1)) : null;
        return module == null ? name : module + "." + out.group(2);
    }

    private static Tensor transpose(Tensor t, SegmentAllocator memory) {
        if (t.format().kind() != Format.Kind.FLOAT) throw new ModelException(t.name() + ": a quantized [in x out] matrix is not supported");
        int size = t.format().bytes();
        MemorySegment to = memory.allocate(t.data().byteSize(), 64);
        for (int r = 0; r < t.rows(); r++) {
            for (int c = 0; c < t.cols(); c++) {
                MemorySegment.copy(t.data(), ((long) r * t.cols() + c) * size, to, ((long) c * t.rows() + r) * size, size);
            }
        }
        return new Tensor(t.name(), t.format(), t.cols(), t.rows(), to);
    }

    private static Tensor addOne(Tensor t, SegmentAllocator memory) {
        float[] gain = t.toFloats();
        for (int i = 0; i < gain.length; i++) gain[i]++;
        return vector(t.name(), gain, memory);
    }

    private static Tensor vector(String name, float[] values, SegmentAllocator memory) {
        MemorySegment data = memory.allocate(4L * values.length, 64);
        Codec.of(Format.F32).encode(values, 0, values.length, data, 0);
        return new Tensor(name, Format.F32, 1, values.length, data);
    }
}
