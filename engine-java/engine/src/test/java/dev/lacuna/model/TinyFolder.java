package dev.lacuna.model;

import dev.lacuna.files.ModelFile;
import dev.lacuna.files.SafetensorsWriter;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Writes the Llama of a GGUF file as a Hugging Face folder. */
public final class TinyFolder {
    private static final Map<String, String> MODULES = Map.of("attn_norm", "input_layernorm", "attn_q", "self_attn.q_proj", "attn_k",
            "self_attn.k_proj", "attn_v", "self_attn.v_proj", "attn_output", "self_attn.o_proj", "ffn_norm", "post_attention_layernorm",
            "ffn_gate",
            "mlp.gate_proj", "ffn_up", "mlp.up_proj", "ffn_down", "mlp.down_proj");
    private static final Map<String, String> OUTSIDE = Map.of("token_embd", "model.embed_tokens", "output_norm", "model.norm", "output",
            "lm_head");

    private final Map<String, String> config = new LinkedHashMap<>();
    private Format format = Format.F32;
    private int shards = 1;

    public TinyFolder() {
        config("model_type", "\"llama\"").config("hidden_size", TinyLlama.DIM).config("num_hidden_layers", 3)
                .config("num_attention_heads", 4)
                .config("num_key_value_heads", 2).config("intermediate_size", 96).config("rms_norm_eps", 1e-5)
                .config("head_dim", TinyLlama.HEAD)
                .config("max_position_embeddings", TinyLlama.CONTEXT).config("vocab_size", TinyLlama.VOCABULARY)
                .config("tie_word_embeddings", false).config("torch_dtype", "\"float32\"");
    }

    /** Sets a key of config.json to a JSON value; null removes it. */
    public TinyFolder config(String key, Object json) {
        config.put(key, String.valueOf(json));
        return this;
    }

    public TinyFolder without(String key) {
        config.remove(key);
        return this;
    }

    public TinyFolder format(Format f) {
        format = f;
        return this;
    }

    public TinyFolder shards(int n) {
        shards = n;
        return this;
    }

    public Path write(Path gguf, Path folder) {
        List<SafetensorsWriter> writers = new ArrayList<>();
        for (int i = 0; i < shards; i++) writers.add(new SafetensorsWriter());
        List<String> map = new ArrayList<>();
        try (ModelFile file = ModelFile.open(gguf)) {
            for (String name : file.names()) {
                Tensor t = file.tensor(name);
                float[] values = t.toFloats();
                if (name.endsWith("attn_q.weight") || name.endsWith("attn_k.weight")) values = halves(values, t.rows(), t.cols());
                boolean vector = t.rows() == 1;
                int shard = map.size() % shards;
                writers.get(shard).tensor(name(name), vector ? Format.F32 : format, values,
                        vector ? new long[]{t.cols()} : new long[]{t.rows(), t.cols()});
                map.add("\"%s\":\"%s\"".formatted(name(name), shard(shard)));
            }
            Files.createDirectories(folder);
            List<String> keys = config.entrySet().stream().map(e -> "\"" + e.getKey() + "\":" + e.getValue()).toList();
            Files.writeString(folder.resolve("config.json"), "{" + String.join(",", keys) + "}");
            for (int i = 0; i < shards; i++) writers.get(i).write(folder.resolve(shard(i)));
            if (shards > 1)
                Files.writeString(folder.resolve("model.safetensors.index.json"), "{\"weight_map\":{" + String.join(",", map) + "}}");
            return folder;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private String shard(int i) {
        return shards == 1 ? "model.safetensors" : String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", i + 1, shards);
    }

    private static String name(String gguf) {
        String[] parts = gguf.split("\\.");
        return parts.length == 2
                ? OUTSIDE.get(parts[0]) + "." + parts[1]
                : "model.layers." + parts[1] + "." + MODULES.get(parts[2]) + "." + parts[3];
    }

    /** GGUF's Llama has the pairs of a rotation side by side, a folder has them half a head apart. */
    private static float[] halves(float[] values, int rows, int cols) {
        float[] out = new float[values.length];
        int half = TinyLlama.HEAD / 2;
        for (int r = 0; r < rows; r++) {
            int head = r / TinyLlama.HEAD, i = r % TinyLlama.HEAD;
            int to = head * TinyLlama.HEAD + i % 2 * half + i / 2;
            System.arraycopy(values, r * cols, out, to * cols, cols);
        }
        return out;
    }
}
