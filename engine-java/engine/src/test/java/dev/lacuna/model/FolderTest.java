package dev.lacuna.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Checkout;
import dev.lacuna.files.ModelFile;
import dev.lacuna.files.SafetensorsWriter;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A model is the same as a folder and as GGUF, and what compressed-tensors packed is what it unpacks. */
class FolderTest {
    private static final int TOKENS = 40;
    private static final int FAR = 8200;

    @TempDir
    Path folder;

    /** Logits of all tokens, fed at once. */
    private static double[] logits(Path path, int[] ids) {
        Limits limits = new Limits(64, 1, 64, 8);
        try (ModelFile file = ModelFile.open(path); CheckedOps ops = Backends.find().open(new OpsOptions(1, "reference", false))) {
            ModelSpec spec = Decoder.spec(file);
            Decoder decoder = Decoder.place(file, spec, ops, 256, InputPolicy.F32, UnaryOperator.identity());
            try (KvPool kv = ops.kv(spec.kv(KvType.F32), 16); ForwardPass pass = decoder.pass(limits, kv)) {
                Batch batch = new Batch(limits);
                batch.clear(8);
                batch.addSequence(new int[]{1, 2, 3, 4, 5, 6, 7, 8}, 8);
                for (int i = 0; i < ids.length; i++) batch.addRow(ids[i], i, true);
                pass.run(batch);
                float[] all = pass.logits();
                double[] out = new double[ids.length * spec.vocabulary()];
                for (int i = 0; i < out.length; i++) out[i] = all[i];
                return out;
            }
        }
    }

    private static int[] ids() {
        return new SplittableRandom(9).ints(TOKENS, 0, TinyLlama.VOCABULARY).toArray();
    }

    private static double nmse(double[] actual, double[] expected) {
        assertEquals(expected.length, actual.length);
        double error = 0, power = 0;
        for (int i = 0; i < expected.length; i++) {
            error += Math.pow(actual[i] - expected[i], 2);
            power += expected[i] * expected[i];
        }
        return error / power;
    }

    private static double difference(Path folder, Path gguf) {
        return nmse(logits(folder, ids()), logits(gguf, ids()));
    }

    @ParameterizedTest
    @CsvSource({"1,F32", "3,F32", "1,F16", "2,BF16"})
    void aFolderIsItsGguf(int shards, String format) {
        Format packing = Format.named(format).orElseThrow();
        Path gguf = new TinyLlama().format(packing).write(folder, 1);
        Path as = new TinyFolder().shards(shards).format(packing).config("torch_dtype", "\"bfloat16\"").write(gguf, folder.resolve("hf"));
        double found = difference(as, gguf);
        assertTrue(found <= 1e-12, "NMSE " + found);
    }

    @Test
    void theHalvesOfAHeadArePairs() {
        Path gguf = new TinyLlama().write(folder, 1);
        Path interleaved = new TinyFolder().config("num_attention_heads", 4).write(gguf, folder.resolve("hf"));
        assertTrue(difference(interleaved, gguf) < 1e-12);
        // the same file read as GGUF's Llama pairs would be another model
        try (ModelFile file = ModelFile.open(interleaved)) {
            assertTrue(!Decoder.spec(file).layers().getFirst().rope().interleaved());
        }
    }

    @Test
    void outputsAreTiedWhereTheConfigurationSaysSo() {
        Path tied = new TinyLlama().tied().write(folder, 2);
        assertTrue(difference(new TinyFolder().config("tie_word_embeddings", true).write(tied, folder.resolve("a")), tied) < 1e-12);
        Path untied = new TinyLlama().write(folder, 3);
        assertTrue(difference(new TinyFolder().without("tie_word_embeddings").write(untied, folder.resolve("b")), untied) < 1e-12);
        // transformers ignores an lm_head that is tied
        assertTrue(difference(new TinyFolder().config("tie_word_embeddings", true).write(untied, folder.resolve("c")), untied) > 1e-2);
        Path missing = new TinyFolder().write(tied, folder.resolve("d"));
        assertTrue(refused(missing).contains("tie_word_embeddings"), refused(missing));
    }

    private static String refused(Path path) {
        return assertThrows(ModelException.class, () -> logits(path, ids())).getMessage();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"model_type|\"mamba\"|llama", "torch_dtype|\"float8_e4m3fn\"|bfloat16", "dtype|\"int8\"|bfloat16",
            "rope_scaling|{\"rope_type\":\"spiral\",\"factor\":2}|llama3", "hidden_act|\"mish\"|gelu_new",
            "hidden_size|\"many\"|embedding_length",
            "num_local_experts|8|expert_count", "num_attention_heads|3|share", "vocab_size|null|"})
    void whatIsNotSupportedIsRefused(String key, String value, String supported) {
        Path gguf = new TinyLlama().write(folder, 1);
        TinyFolder writer = new TinyFolder().config(key, value);
        if (key.equals("dtype")) writer.without("torch_dtype");
        Path path = writer.write(gguf, folder.resolve("hf"));
        if (supported == null) {
            assertTrue(difference(path, gguf) < 1e-12, "a key that nobody needs");
        } else {
            assertTrue(refused(path).contains(supported), refused(path));
        }
    }

    /** Scalings by either name of the key, against the same keys in GGUF. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"{\"type\":\"linear\",\"factor\":2.0}|linear|factor=2",
            "{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":32}|llama3|"
                    + "factor=8,low_freq_factor=1,high_freq_factor=4,original_context_length=32",
            "{\"rope_type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":32,\"beta_fast\":16}|yarn|"
                    + "factor=4,original_context_length=32,yarn_beta_fast=16",
            "{\"rope_type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":32,\"attention_factor\":1.5}|yarn|"
                    + "factor=4,original_context_length=32,attn_factor=1.5"})
    void scalingsAreThoseOfGguf(String json, String type, String keys) {
        var writer = new TinyLlama().writer(1);
        writer.put("llama.rope.scaling.type", type).put("llama.rope.freq_base", 5000f);
        for (String key : keys.split(",")) {
            String[] pair = key.split("=");
            if (pair[0].equals("original_context_length")) {
                writer.put("llama.rope.scaling." + pair[0], Integer.parseInt(pair[1]));
            } else {
                writer.put("llama.rope.scaling." + pair[0], Float.parseFloat(pair[1]));
            }
        }
        Path gguf = writer.write(folder.resolve("scaled.gguf"));
        Path old = new TinyFolder().config("rope_theta", 5000.0).config("rope_scaling", json).write(gguf, folder.resolve("old"));
        assertTrue(difference(old, gguf) < 1e-12);
        Path fresh = new TinyFolder().config("rope_parameters", json.replace("{", "{\"rope_theta\":5000.0,")).write(gguf,
                folder.resolve("fresh"));
        assertTrue(difference(fresh, gguf) < 1e-12);
        Path plain = new TinyFolder().config("rope_theta", 5000.0).write(gguf, folder.resolve("plain"));
        assertTrue(difference(plain, gguf) > 1e-6, "the scaling changes nothing here");
    }

    /** A family's folder written anew: its tensors by other names, more of them, its config.json changed. */
    private Path rewritten(String family, UnaryOperator<String> names, UnaryOperator<String> config, String... more) throws IOException {
        Path from = Checkout.root().resolve("models/families").resolve(family), to = Files.createDirectories(folder.resolve("anew"));
        SafetensorsWriter writer = new SafetensorsWriter();
        try (ModelFile file = ModelFile.open(from)) {
            for (String name : file.names()) {
                Tensor t = file.tensor(name);
                long[] dims = t.rows() == 1 ? new long[]{t.cols()} : new long[]{t.rows(), t.cols()};
                writer.tensor(names.apply(name), t.format(), t.toFloats(), dims);
            }
        }
        for (String name : more) writer.tensor(name, Format.F32, new float[4], 2, 2);
        writer.write(to.resolve("model.safetensors"));
        Files.writeString(to.resolve("config.json"), config.apply(Files.readString(from.resolve("config.json"))));
        return to;
    }

    private static List<String> unused(Path path) {
        try (ModelFile file = ModelFile.open(path)) {
            return Decoder.unused(file);
        }
    }

    @ParameterizedTest
    @CsvSource({"llama", "qwen3", "gemma2", "gpt2", "opt", "phi3"})
    void whatIsNotUnderstoodIsListed(String family) throws IOException {
        Path path = rewritten(family, n -> n,
                c -> c.replaceFirst("\\{",
                        "{\"novel_norm\":{\"depth\":3},\"transformers_version\":\"4.0\",\"initializer_range\":0.02,\"id2label\":{\"0\":\"a\"},"),
                "model.novelty.weight");
        Files.writeString(path.resolve("generation_config.json"), "{\"eos_token_id\":[1,2],\"do_sample\":true,\"novel_penalty\":1.5}");
        assertEquals(List.of("novel_norm.depth", "generation_config.do_sample", "generation_config.novel_penalty", "model.novelty.weight"),
                unused(path));
    }

    /** Gemma 3 of text and images, as transformers 4 and 5 write it: the text part is the model, the rest is told. */
    @ParameterizedTest
    @CsvSource({"language_model.", "model.language_model."})
    void theTextPartOfAModelOfTextAndImagesRuns(String prefix) throws IOException {
        UnaryOperator<String> nested = c -> "{\"model_type\":\"gemma3\",\"architectures\":[\"Gemma3ForConditionalGeneration\"],"
                + "\"mm_tokens_per_image\":256,\"vision_config\":{\"model_type\":\"siglip_vision_model\",\"hidden_size\":8},\"text_config\":"
                + c.replace("\"vocab_size\": 288,", "") + "}";
        String[] vision = new String[9];
        for (int i = 0; i < vision.length; i++) vision[i] = "vision_tower.vision_model.encoder.layers." + i + ".mlp.fc1.weight";
        Path path = rewritten("gemma3", n -> prefix.startsWith("model.") ? n.replaceFirst("^model\\.", prefix) : prefix + n, nested,
                vision);
        int[] ids = new SplittableRandom(9).ints(64, 0, 288).toArray();
        assertEquals(0, nmse(logits(path, ids), logits(Checkout.root().resolve("models/families/gemma3"), ids)));
        assertEquals(List.of("mm_tokens_per_image", "vision_config.model_type", "vision_config.hidden_size", "vision_tower.* (9 tensors)"),
                unused(path));
    }

    /** google/gemma-3-4b-it says no more than this: what is not there is transformers' default. */
    @Test
    void whatAModelOfTextAndImagesLeavesOutIsTheDefault() throws IOException {
        String sparse = "{\"model_type\":\"gemma3\",\"text_config\":{\"hidden_size\":2560,\"intermediate_size\":10240,\"num_hidden_layers\":34,"
                + "\"model_type\":\"gemma3_text\",\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"},\"sliding_window\":1024}}";
        Path path = rewritten("gemma3", n -> "language_model." + n, c -> sparse);
        try (ModelFile file = ModelFile.open(path)) {
            var keys = FolderMapping.read(file).file().metadata();
            assertEquals(List.of(8L, 4L, 256L, 2560L, 131_072L, 1e-6, 1.0 / 16, 1024L),
                    Stream.of("attention.head_count", "attention.head_count_kv", "attention.key_length", "embedding_length",
                            "context_length",
                            "attention.layer_norm_rms_epsilon", "attention.scale", "attention.sliding_window")
                            .map(k -> keys.get("gemma3." + k))
                            .toList());
        }
    }

    /** transformers' rule for Qwen2: a window only where use_sliding_window is true, in layers from max_window_layers on unless layer_types says. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"'\"sliding_window\":9'|0,0", "'\"sliding_window\":9,\"use_sliding_window\":false'|0,0",
            "'\"sliding_window\":9,\"use_sliding_window\":true'|0,0",
            "'\"sliding_window\":9,\"use_sliding_window\":true,\"max_window_layers\":1'|0,9",
            "'\"sliding_window\":9,\"use_sliding_window\":true,\"max_window_layers\":0'|9,9",
            "'\"sliding_window\":9,\"use_sliding_window\":true,\"max_window_layers\":0,\"layer_types\":[\"sliding_attention\",\"full_attention\"]'|9,0",
            "'\"use_sliding_window\":true,\"max_window_layers\":0'|0,0"})
    void windowsOfQwenAreThoseOfTransformers(String keys, String windows) throws IOException {
        for (String family : List.of("qwen2", "qwen3")) {
            Path path = rewritten(family, n -> n, c -> c.replaceFirst("\\{", "{" + keys + ","));
            try (ModelFile file = ModelFile.open(path)) {
                assertEquals(windows,
                        Decoder.spec(file).layers().stream().map(l -> String.valueOf(l.window())).collect(Collectors.joining(",")));
                assertEquals(List.of(), Decoder.unused(file));
            }
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
            "opt|\"do_layer_norm_before\": true|\"do_layer_norm_before\": false|norms after the blocks, as OPT-350M",
            "opt|\"word_embed_proj_dim\": 32|\"word_embed_proj_dim\": 16|embeddings narrower than the layers, as OPT-350M",
            "gemma3|\"sliding_window\": 20|\"use_bidirectional_attention\": true|use_bidirectional_attention is true",
            "qwen3|\"rope_theta\": 1000000.0|\"layer_types\": [\"linear_attention\", \"full_attention\"]|layer_types 'linear_attention'"})
    void shapesOfOtherKindsAreRefusedByName(String family, String from, String to, String message) throws IOException {
        Path path = rewritten(family, n -> n, c -> {
            assertTrue(c.contains(from), c);
            return c.replace(from, to);
        });
        String found = assertThrows(ModelException.class, () -> unused(path)).getMessage();
        assertTrue(found.contains(message), found);
    }

    static Stream<Path> families() throws IOException {
        try (Stream<Path> all = Files.list(Checkout.root().resolve("models/families"))) {
            return all.filter(f -> Files.exists(f.resolve("model.gguf"))).sorted().toList().stream();
        }
    }

    private static float[] table(@Nullable RopeSpec rope) {
        return rope == null ? new float[0] : rope.table(FAR);
    }

    /** Every family's checkpoint, of which the GGUF file is held against the golden values elsewhere. */
    @ParameterizedTest
    @MethodSource("families")
    void familiesAreTheSameInBoth(Path family) {
        int vocabulary;
        try (ModelFile file = ModelFile.open(family); ModelFile gguf = ModelFile.open(family.resolve("model.gguf"))) {
            ModelSpec spec = Decoder.spec(file), other = Decoder.spec(gguf);
            vocabulary = spec.vocabulary();
            assertEquals(List.of(), Decoder.unused(file));
            for (int l = 0; l < spec.layers().size(); l++) {
                ModelSpec.Layer here = spec.layers().get(l), there = other.layers().get(l);
                assertEquals(there.window(), here.window());
                // beyond the trained context too, where the scores below do not reach
                // GGUF carries Llama 3's scaling as divisors in single precision
                assertArrayEquals(table(there.rope()), table(here.rope()), 1e-4f);
            }
        }
        int[] ids = new SplittableRandom(9).ints(64, 0, vocabulary).toArray();
        double found = nmse(logits(family, ids), logits(family.resolve("model.gguf"), ids));
        assertTrue(found <= 1e-12, "NMSE " + found);
    }

    @ParameterizedTest
    @CsvSource({"int8,F32|I8_ROW", "int4,F32|I4_GROUP_32", "mixed,F32|I4_GROUP_32|I8_GROUP_64|I4_GROUP_64",
            "targets,F32|I4_GROUP_32|I8_ROW|I4_GROUP_64"})
    void whatThePackagePackedIsWhatItUnpacks(String name, String formats) throws Exception {
        Path models = Checkout.root().resolve("models/compressed-tensors");
        JsonNode golden = JsonMapper.shared().readTree(models.resolve("golden.json").toFile());
        int[] ids = golden.path("ids").valueStream().mapToInt(JsonNode::intValue).toArray();
        double[] expected = golden.path(name).valueStream().flatMap(JsonNode::valueStream).mapToDouble(JsonNode::doubleValue).toArray();
        try (ModelFile file = ModelFile.open(models.resolve(name))) {
            Set<String> found = file.tensors().values().stream().map(t -> t.format().orElseThrow().name())
                    .collect(Collectors.toCollection(LinkedHashSet::new));
            assertEquals(Set.of(formats.split("\\|")), found);
        }
        double found = nmse(logits(models.resolve(name), ids), expected);
        assertTrue(found <= 1e-12, "NMSE " + found);
    }
}
