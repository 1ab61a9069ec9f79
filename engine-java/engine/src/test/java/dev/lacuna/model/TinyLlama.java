package dev.lacuna.model;

import dev.lacuna.files.GgufWriter;
import dev.lacuna.tensor.Format;
import java.nio.file.Path;
import java.util.SplittableRandom;

/** Writes tiny Llama files with random weights and a byte vocabulary, so that tests of everything above the file always have a model. */
public final class TinyLlama {
    public static final int DIM = 64;
    public static final int HEAD = 16;
    public static final int CONTEXT = 512;
    public static final int VOCABULARY = 3 + 256 + 27;
    public static final String TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";

    private int[] heads = {4, 4, 4};
    private int[] kvHeads = {2, 2, 2};
    private int[] ffn = {96, 96, 96};
    private Format format = Format.F32;
    private boolean tied;
    private int silent = -1;
    private String template = TEMPLATE;

    /** Heads, key/value heads and feed-forward widths of each layer. */
    public TinyLlama layers(int[] heads, int[] kvHeads, int[] ffn) {
        this.heads = heads;
        this.kvHeads = kvHeads;
        this.ffn = ffn;
        return this;
    }

    public TinyLlama format(Format f) {
        format = f;
        return this;
    }

    public TinyLlama tied() {
        tied = true;
        return this;
    }

    /** Another chat template than {@link #TEMPLATE}. */
    public TinyLlama template(String source) {
        template = source;
        return this;
    }

    /** A layer whose output projections are all zero: it is there and adds nothing. */
    public TinyLlama silent(int layer) {
        silent = layer;
        return this;
    }

    public GgufWriter writer(long seed) {
        GgufWriter w = new GgufWriter();
        w.put("general.architecture", "llama").put("general.name", "tiny").put("llama.embedding_length", DIM)
                .put("llama.block_count", heads.length)
                .put("llama.attention.head_count", heads).put("llama.attention.head_count_kv", kvHeads)
                .put("llama.feed_forward_length", ffn)
                .put("llama.context_length", CONTEXT).put("llama.attention.key_length", HEAD).put("llama.attention.value_length", HEAD)
                .put("llama.rope.dimension_count", HEAD).put("llama.attention.layer_norm_rms_epsilon", 1e-5f);
        vocabulary(w);
        SplittableRandom random = new SplittableRandom(seed);
        matrix(w, random, "token_embd.weight", VOCABULARY, DIM, 1);
        gain(w, random, "output_norm.weight");
        if (!tied) matrix(w, random, "output.weight", VOCABULARY, DIM, 3);
        for (int l = 0; l < heads.length; l++) {
            String at = "blk." + l + ".";
            // each layer has its own stream of random numbers, so that leaving out one changes no other
            SplittableRandom own = new SplittableRandom(seed * 31 + l);
            double out = l == silent ? 0 : 2;
            if (heads[l] > 0 && kvHeads[l] > 0) {
                gain(w, own, at + "attn_norm.weight");
                matrix(w, own, at + "attn_q.weight", heads[l] * HEAD, DIM, 2);
                matrix(w, own, at + "attn_k.weight", kvHeads[l] * HEAD, DIM, 2);
                matrix(w, own, at + "attn_v.weight", kvHeads[l] * HEAD, DIM, 1);
                matrix(w, own, at + "attn_output.weight", DIM, heads[l] * HEAD, out);
            }
            if (ffn[l] > 0) {
                gain(w, own, at + "ffn_norm.weight");
                matrix(w, own, at + "ffn_gate.weight", ffn[l], DIM, 1);
                matrix(w, own, at + "ffn_up.weight", ffn[l], DIM, 1);
                matrix(w, own, at + "ffn_down.weight", DIM, ffn[l], out);
            }
        }
        return w;
    }

    public Path write(Path folder, long seed) {
        return writer(seed).write(folder.resolve("tiny-" + seed + ".gguf"));
    }

    private void vocabulary(GgufWriter w) {
        String[] tokens = new String[VOCABULARY];
        float[] scores = new float[VOCABULARY];
        int[] types = new int[VOCABULARY];
        String[] controls = {"<unk>", "<s>", "</s>"};
        for (int i = 0; i < VOCABULARY; i++) {
            types[i] = i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1; // unknown, control, byte, normal
            tokens[i] = i < 3
                    ? controls[i]
                    : i < 259 ? "<0x%02X>".formatted(i - 3) : i == 259 ? "\u2581" : String.valueOf((char) ('a' + i - 260));
            scores[i] = i < 259 ? 0 : -i;
        }
        w.put("tokenizer.ggml.model", "llama").put("tokenizer.ggml.tokens", tokens).put("tokenizer.ggml.scores", scores)
                .put("tokenizer.ggml.token_type", types).put("tokenizer.ggml.bos_token_id", 1).put("tokenizer.ggml.eos_token_id", 2)
                .put("tokenizer.ggml.unknown_token_id", 0).put("tokenizer.ggml.add_bos_token", true)
                .put("tokenizer.chat_template", template);
    }

    private void matrix(GgufWriter w, SplittableRandom random, String name, int rows, int cols, double gain) {
        float[] v = new float[rows * cols];
        for (int i = 0; i < v.length; i++) v[i] = (float) (random.nextGaussian() * gain / Math.sqrt(cols));
        w.tensor(name, format, v, cols, rows);
    }

    private static void gain(GgufWriter w, SplittableRandom random, String name) {
        float[] v = new float[DIM];
        for (int i = 0; i < v.length; i++) v[i] = (float) (1 + random.nextDouble(-0.5, 0.5));
        w.vector(name, v);
    }
}
