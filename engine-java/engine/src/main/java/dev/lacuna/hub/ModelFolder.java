package dev.lacuna.hub;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Which files of a Hugging Face folder are the model: a fixed list of names and the safetensors shards, so that no foreign path becomes one of ours. */
final class ModelFolder {
    static final String CONFIG = "config.json";
    static final String WEIGHTS = "model.safetensors";
    private static final String INDEX = "model.safetensors.index.json";
    private static final List<String> SMALL = List.of(CONFIG, "generation_config.json", "tokenizer.json", "tokenizer_config.json",
            "special_tokens_map.json", "added_tokens.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt",
            "chat_template.jinja", "chat_template.json", "modules.json",
            "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json");
    private static final Pattern SHARD = Pattern.compile("model-(\\d{5})-of-(\\d{5})\\.safetensors");

    private ModelFolder() {}

    /** Whether these paths, relative to the folder, hold safetensors weights. */
    static boolean is(Collection<String> paths) {
        return paths.contains(WEIGHTS) || paths.stream().anyMatch(path -> SHARD.matcher(path).matches());
    }

    /**
     * The files of the model among these paths.
     *
     * @throws FetchException if the configuration, the weights or a shard is missing
     */
    static List<String> pick(Collection<String> paths) throws FetchException {
        if (!paths.contains(CONFIG)) throw new FetchException("there is no " + CONFIG + ", so this is no model folder");
        List<String> picked = new ArrayList<>(SMALL);
        picked.retainAll(Set.copyOf(paths));
        if (paths.contains(WEIGHTS)) {
            picked.add(WEIGHTS);
            return picked;
        }
        if (paths.contains(INDEX)) picked.add(INDEX);
        Set<String> shards = new TreeSet<>();
        for (String path : paths) {
            if (SHARD.matcher(path).matches()) shards.add(path);
        }
        if (shards.isEmpty())
            throw new FetchException("there are no weights: neither " + WEIGHTS + " nor model-00001-of-0000N.safetensors");
        Matcher first = SHARD.matcher(shards.iterator().next());
        if (!first.matches()) throw new IllegalStateException("the pattern that chose it matches");
        int total = Integer.parseInt(first.group(2));
        for (int shard = 1; shard <= total; shard++) {
            String name = String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", shard, total);
            if (!shards.remove(name)) throw new FetchException("the shard " + name + " is missing");
            picked.add(name);
        }
        if (!shards.isEmpty()) throw new FetchException("there are shards of more than one model: " + shards.iterator().next());
        return picked;
    }
}
