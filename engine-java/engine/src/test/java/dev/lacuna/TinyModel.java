package dev.lacuna;

import dev.lacuna.files.GgufWriter;
import dev.lacuna.tensor.Format;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** A Llama of two layers with random weights that speaks in single letters and hardly ever ends its text. */
public final class TinyModel {
    public static final int CONTEXT = 256;
    private static final long SEED = 20251;
    private static final int DIM = 64;
    private static final int FFN = 96;
    private static final int CONTROL = 3;
    private static final int BYTE = 6;
    private static final String TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}\n{% endfor %}"
            + "{% if add_generation_prompt %}<|assistant|>{% endif %}";

    private TinyModel() {}

    /** Writes it. */
    public static Path write(Path file) {
        return write(file, CONTEXT);
    }

    /** Writes it with another length of its context. */
    public static Path write(Path file, int context) {
        return writer("llama", context).put("tokenizer.chat_template", TEMPLATE).write(file);
    }

    /** The same without a chat template, or of an architecture that does not exist. */
    public static GgufWriter writer(String architecture) {
        return writer(architecture, CONTEXT);
    }

    private static GgufWriter writer(String architecture, int context) {
        Random random = new Random(SEED);
        List<String> tokens = new ArrayList<>(List.of("<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"));
        List<Integer> types = new ArrayList<>(List.of(2, CONTROL, CONTROL, CONTROL, CONTROL, CONTROL));
        for (int b = 0; b < 256; b++) {
            tokens.add("<0x%02X>".formatted(b));
            types.add(BYTE);
        }
        int firstLetter = tokens.size();
        tokens.add("\u2581");
        types.add(1);
        for (char c = '!'; c <= '~'; c++) {
            tokens.add(String.valueOf(c));
            types.add(1);
        }
        int vocabulary = tokens.size();
        GgufWriter w = new GgufWriter().put("general.architecture", architecture).put("general.name", "tiny").put("llama.block_count", 2)
                .put("llama.embedding_length", DIM).put("llama.attention.head_count", 4).put("llama.attention.head_count_kv", 2)
                .put("llama.feed_forward_length", FFN).put("llama.context_length", context)
                .put("llama.attention.layer_norm_rms_epsilon", 1e-5f)
                .put("tokenizer.ggml.model", "llama").put("tokenizer.ggml.tokens", tokens.toArray(String[]::new))
                .put("tokenizer.ggml.scores", new float[vocabulary])
                .put("tokenizer.ggml.token_type", types.stream().mapToInt(i -> i).toArray())
                .put("tokenizer.ggml.bos_token_id", 1).put("tokenizer.ggml.eos_token_id", 2).put("tokenizer.ggml.unknown_token_id", 0);
        w.tensor("token_embd.weight", Format.F32, normal(random, vocabulary * DIM, 1), DIM, vocabulary);
        for (int l = 0; l < 2; l++) {
            String at = "blk." + l + ".";
            w.vector(at + "attn_norm.weight", ones());
            matrix(w, random, at + "attn_q.weight", DIM, DIM);
            matrix(w, random, at + "attn_k.weight", DIM, DIM / 2);
            matrix(w, random, at + "attn_v.weight", DIM, DIM / 2);
            matrix(w, random, at + "attn_output.weight", DIM, DIM);
            w.vector(at + "ffn_norm.weight", ones());
            matrix(w, random, at + "ffn_gate.weight", DIM, FFN);
            matrix(w, random, at + "ffn_up.weight", DIM, FFN);
            matrix(w, random, at + "ffn_down.weight", FFN, DIM);
        }
        w.vector("output_norm.weight", ones());
        float[] output = normal(random, vocabulary * DIM, 1);
        java.util.Arrays.fill(output, 0, firstLetter * DIM, 0); // letters win
        return w.tensor("output.weight", Format.Q8_0, output, DIM, vocabulary);
    }

    private static void matrix(GgufWriter w, Random random, String name, int cols, int rows) {
        w.tensor(name, Format.Q8_0, normal(random, cols * rows, 1 / Math.sqrt(cols)), cols, rows);
    }

    private static float[] normal(Random random, int n, double scale) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) values[i] = (float) (random.nextGaussian() * scale);
        return values;
    }

    private static float[] ones() {
        float[] values = new float[DIM];
        java.util.Arrays.fill(values, 1);
        return values;
    }
}
