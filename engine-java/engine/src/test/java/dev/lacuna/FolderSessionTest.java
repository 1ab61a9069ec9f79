package dev.lacuna;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.files.SafetensorsWriter;
import dev.lacuna.generate.Result;
import dev.lacuna.generate.Sampling;
import dev.lacuna.model.ModelException;
import dev.lacuna.model.TinyFolder;
import dev.lacuna.model.TinyLlama;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvType;
import dev.lacuna.tensor.Format;
import dev.lacuna.text.Message;
import dev.lacuna.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Folders through the front door: weights, tokenizer, template and ends of a folder together. */
class FolderSessionTest {
    private static final Options OPTIONS = Options.DEFAULT.withContext(128).withThreads(1).withKernels("reference").withKv(KvType.F32)
            .withActivations(InputPolicy.F32);

    @TempDir
    Path folder;

    private static int[] continued(Path model, int... prompt) {
        try (Lacuna lacuna = Lacuna.open(model, OPTIONS)) {
            Result result = lacuna.generate(prompt, Sampling.GREEDY.withMaxTokens(24)).result();
            return result.outputIds();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama", "qwen2", "gpt2", "gemma3"})
    void aFolderSaysWhatItsGgufSays(String family) {
        Path path = Checkout.root().resolve("models/families").resolve(family);
        int[] said = continued(path, 1, 40, 97, 60, 9, 200);
        assertTrue(said.length > 0);
        assertArrayEquals(continued(path.resolve("model.gguf"), 1, 40, 97, 60, 9, 200), said);
    }

    /** A tokenizer of single characters with three tokens fewer than the embedding has rows. */
    private Path chatty(String... more) throws IOException {
        Path gguf = new TinyLlama().write(folder, 1);
        TinyFolder writer = new TinyFolder().config("eos_token_id", 2);
        for (int i = 0; i < more.length; i += 2) writer.config(more[i], more[i + 1]);
        Path path = writer.write(gguf, folder.resolve("hf"));
        StringBuilder vocabulary = new StringBuilder();
        for (int i = 0; i < TinyLlama.VOCABULARY - 3; i++) {
            String piece = i < 3
                    ? List.of("<unk>", "<s>", "</s>").get(i)
                    : i < 259 ? "<0x%02X>".formatted(i - 3) : String.valueOf((char) ('a' + i - 259));
            vocabulary.append(i == 0 ? "" : ",").append('"').append(piece).append("\":").append(i);
        }
        Files.writeString(path.resolve("tokenizer.json"), """
                {"added_tokens": [{"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
                 "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
                 "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "merges": [], "vocab": {%s}}}"""
                .formatted(vocabulary));
        Files.writeString(path.resolve("tokenizer_config.json"),
                "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"add_bos_token\":true,\"chat_template\":\""
                        + TinyLlama.TEMPLATE.replace("\n", "\\n")
                        + "\"}");
        return path;
    }

    @Test
    void tokenizerTemplateAndEndsAreTheFolders() throws IOException {
        Path path = chatty();
        Files.writeString(path.resolve("generation_config.json"), "{\"eos_token_id\": [2, 262]}");
        try (Lacuna model = Lacuna.open(path, OPTIONS)) {
            Tokenizer tokenizer = model.tokenizer();
            assertEquals(TinyLlama.VOCABULARY, tokenizer.size());
            assertEquals(Set.of(2, 262), tokenizer.eos());
            assertArrayEquals(new int[]{1, 259, 260, 36}, model.encode("ab!"));
            assertEquals("ab", tokenizer.decode(new int[]{259, 260, TinyLlama.VOCABULARY - 1}));
            assertEquals(0, tokenizer.bytes(TinyLlama.VOCABULARY - 1).length);
            assertThrows(IndexOutOfBoundsException.class, () -> tokenizer.bytes(TinyLlama.VOCABULARY));
            assertTrue(model.hasTemplate());
            assertEquals("<user>hi\n<assistant>", model.render(List.of(Message.user("hi"))));
            assertFalse(model.generate("ab", Sampling.GREEDY.withMaxTokens(8)).result().outputIds().length == 0);
            ModelInfo info = model.info();
            assertEquals("llama", info.metadata().get("model_type"));
            assertEquals(path, info.path());
            assertEquals(Map.of("F32", 30), Map.of(info.packings().getFirst().format(), info.packings().getFirst().tensors()));
        }
    }

    @Test
    void foldersThatLackTextAreRefused() throws IOException {
        Path path = chatty();
        Files.writeString(path.resolve("generation_config.json"), "{\"eos_token_id\": 100000}");
        assertTrue(refused(path).contains("generation_config.eos_token_id"), refused(path));
        Files.delete(path.resolve("tokenizer.json"));
        assertTrue(refused(path).contains("there is no tokenizer.json"), refused(path));
    }

    private static String refused(Path path) {
        return assertThrows(ModelException.class, () -> Lacuna.open(path, OPTIONS).close()).getMessage();
    }

    /** Reading stays strict through the front door, and nothing stays mapped or open. */
    @Test
    void malformedFoldersAreRefused() throws IOException {
        Path path = chatty();
        new SafetensorsWriter().tensor("model.norm.weight", Format.F32, new float[1], 1).rawData(4)
                .write(path.resolve("model.safetensors"));
        assertThrows(dev.lacuna.files.ModelFileException.class, () -> Lacuna.open(path, OPTIONS));
    }
}
