package dev.lacuna.model;

import dev.lacuna.files.Safetensors;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/** A folder's config.json as families read it: remembers which keys were asked for, so that those that were not can be named. */
final class ConfigKeys {
    /** A model of text and images keeps what is of the text apart, and what it says there holds. */
    private static final String TEXT = "text_config.";

    /** Keys that change nothing in what a model computes, of config.json, of its text_config and of generation_config.json. */
    private static final Pattern INFORMATIONAL = Pattern.compile("(?:text_config\\.|generation_config\\.)?(?:" + String.join("|",
            // who wrote the file, and with what
            "architectures", "_(?:model_)?name_or_path", "transformers_version", "transformers\\.js_config\\..*",
            "unsloth_(?:fixed|version)",
            "_from_model_config",
            // which code would run elsewhere: none is run here
            "auto_map\\..*", "_?attn_implementation(?:_.*)?", "(?:use_)?cache(?:_implementation)?", "gradient_checkpointing",
            "pretraining_tp",
            "is_decoder", "is_encoder_decoder", "return_dict", "output_(?:attentions|hidden_states)", "torchscript",
            // training alone
            "initializer_(?:range|factor)", "init_std", "(?:attention|attn|activation|hidden|embd|resid|embed)_(?:dropout|pdrop)",
            "dropout",
            "layerdrop",
            // the tokenizer's files say it; ends of sequences are read with them
            "(?:bos|eos|pad|sep|cls|unk|decoder_start)_token_id",
            // the tensors say it: biases are used wherever they are
            "(?:attention|mlp|qkv)_bias", "tie_encoder_decoder",
            // heads for other tasks
            "(?:id2label|label2id|task_specific_params)\\..*", "summary_.*", "problem_type") + ")");

    /** Read with the tensors, which a folder refuses to open where it does not understand them. */
    private static final Pattern QUANTIZATION = Pattern.compile("(?:quantization|compression)_config\\..*");

    private final Safetensors folder;
    private final Map<String, Object> defaults = new HashMap<>();
    private final Set<String> asked = new TreeSet<>();

    ConfigKeys(Safetensors folder) {
        this.folder = folder;
    }

    ModelException bad(String key, String why) {
        return new ModelException(folder.path().getFileName() + ": config.json: " + key + " " + why);
    }

    /** What holds where config.json has no such key, as transformers' own classes have it. */
    void otherwise(String key, Object value) {
        defaults.put(key, value);
    }

    /** The first of these that config.json has. */
    Optional<Object> value(String... keys) {
        Optional<Object> first = Optional.empty();
        for (String key : keys) {
            Optional<Object> value = stated(key);
            if (first.isEmpty()) first = value;
        }
        for (String key : keys) {
            if (first.isEmpty()) first = Optional.ofNullable(defaults.get(key));
        }
        return first;
    }

    private Optional<Object> stated(String key) {
        asked.add(key);
        asked.add(TEXT + key);
        Object value = folder.metadata().get(TEXT + key);
        return Optional.ofNullable(value != null ? value : folder.metadata().get(key));
    }

    /** A number of config.json. */
    Optional<Double> real(String... keys) {
        return value(keys).map(v -> {
            if (!(v instanceof Number n)) throw bad(keys[0], "is not a number: " + v);
            return n.doubleValue();
        });
    }

    /** Keys with a value that nobody asked for and that mean something, or may. */
    List<String> unread() {
        List<String> unread = new ArrayList<>();
        for (String key : folder.metadata().keySet()) {
            boolean known = asked.contains(key) || INFORMATIONAL.matcher(key).matches() || QUANTIZATION.matcher(key).matches();
            if (!known) unread.add(key);
        }
        return unread;
    }
}
