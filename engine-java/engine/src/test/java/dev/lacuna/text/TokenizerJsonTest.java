package dev.lacuna.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.node.ObjectNode;

/** Small tokenizer.json files that together use every part, against what Hugging Face tokenizers gave (pipelines.py). */
class TokenizerJsonTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final JsonNode PIPELINES = JSON.readTree(TokenizerJsonTest.class.getResourceAsStream("pipelines.json"));

    static Stream<String> names() {
        return PIPELINES.propertyNames().stream();
    }

    static JsonNode file(String name) {
        return PIPELINES.get(name).get("tokenizer");
    }

    private static List<String> strings(String name) {
        List<String> specials = file(name).get("added_tokens").valueStream().map(token -> token.get("content").asString()).toList();
        int below = PIPELINES.get(name).get("below").asInt();
        return ParityCorpus.strings(specials, 3000).stream()
                .map(text -> text.codePoints().filter(c -> c < below)
                        .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append).toString())
                .toList();
    }

    @ParameterizedTest
    @MethodSource("names")
    void givesTheReferencesIds(String name) throws NoSuchAlgorithmException {
        Tokenizer tokenizer = Tokenizer.fromJson(file(name), null);
        List<String> strings = strings(name);
        JsonNode first = PIPELINES.get(name).get("first");
        for (int i = 0; i < first.size(); i++) {
            assertArrayEquals(first.get(i).valueStream().mapToInt(JsonNode::asInt).toArray(), tokenizer.encode(strings.get(i), true),
                    strings.get(i));
        }
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        for (String string : strings) {
            int[] ids = tokenizer.encode(string, true);
            ByteBuffer bytes = ByteBuffer.allocate(4 * ids.length + 4).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asIntBuffer().put(ids).put(-1);
            sha.update(bytes);
        }
        assertEquals(PIPELINES.get(name).get("digest").asString(), HexFormat.of().formatHex(sha.digest()));
    }

    @ParameterizedTest
    @CsvSource({"opt", "single digits", "punctuation", "gpt2 split", "tekken", "cl100k", "llama", "mistral", "metaspace", "gemma",
            "unigram bytes"})
    void decodesAndStreamsWhatItEncoded(String name) {
        Tokenizer tokenizer = Tokenizer.fromJson(file(name), null);
        assertEquals(!Set.of("single digits", "punctuation", "gpt2 split", "tekken", "cl100k", "gemma").contains(name),
                tokenizer.spacePrefix());
        for (String text : ParityCorpus.strings(List.of(), 500)) {
            // a space that is there already is not put in front once more, and is taken away
            String wanted = tokenizer.spacePrefix() && !name.equals("llama") && text.startsWith(" ") ? text.substring(1) : text;
            int[] ids = tokenizer.encode(text, false);
            assertEquals(wanted, tokenizer.decode(ids));
            StreamDecoder stream = new StreamDecoder(tokenizer);
            StringBuilder joined = new StringBuilder();
            Arrays.stream(ids).forEach(id -> joined.append(stream.next(id)));
            assertEquals(wanted, joined + stream.finish());
        }
    }

    @ParameterizedTest
    @MethodSource("names")
    void longRunsTakeLinearTime(String name) {
        Tokenizer tokenizer = Tokenizer.fromJson(file(name), null);
        for (String text : List.of("a", " ", "\n", "漢", "1", "\u0301", "A", "!", "Ab", "!a", "\u0001")) {
            String run = text.repeat(200_000);
            int[] once = tokenizer.encode(run, true);
            assertTrue(once.length <= 4 * run.length() + 1, name);
        }
    }

    @ParameterizedTest
    @CsvSource({"unigram", "unigram bytes", "t5", "mistral"})
    void tenMegabytesOfOneCharacter(String name) {
        Tokenizer tokenizer = Tokenizer.fromJson(file(name), null);
        String run = "a".repeat(10_000_000);
        assertEquals(run, tokenizer.decode(tokenizer.encode(run, false)));
    }

    private static ObjectNode changed(String name, String json) {
        ObjectNode file = (ObjectNode) file(name).deepCopy();
        JSON.readTree(json).properties().forEach(e -> {
            if (e.getValue().isObject() && file.get(e.getKey()) instanceof ObjectNode old && !e.getValue().has("type")) {
                e.getValue().properties().forEach(inner -> old.set(inner.getKey(), inner.getValue()));
            } else {
                file.set(e.getKey(), e.getValue());
            }
        });
        return file;
    }

    @Test
    void beginAndEndComeFromConfigurationAndPostProcessor() {
        JsonNode file = changed("llama", """
                {"post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing", "single":
                [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]}]}}""");
        Tokenizer alone = Tokenizer.fromJson(file, null);
        int bos = alone.id("<s>").orElseThrow();
        assertEquals(bos, alone.bos());
        assertTrue(alone.addBos());
        assertEquals(Set.of(), alone.eos());
        assertTrue(alone.isControl(bos));
        Tokenizer configured = Tokenizer.fromJson(file,
                JSON.readTree("{\"add_bos_token\": false, \"bos_token\": {\"content\": \"<s>\"}, \"eos_token\": \"a\"}"));
        assertFalse(configured.addBos());
        assertEquals(Set.of(configured.id("a").orElseThrow()), configured.eos());
        assertEquals(Set.of(configured.id("a").orElseThrow(), 7), configured.withEos(Set.of(7)).eos());
        assertThrows(IllegalArgumentException.class, () -> configured.withEos(Set.of(configured.size())));
        assertEquals(-1, Tokenizer.fromJson(file("llama"), null).bos());
        assertThrows(MalformedTokenizerException.class,
                () -> Tokenizer.fromJson(file("llama"), JSON.readTree("{\"add_bos_token\": true}")));
    }

    @Test
    void mergesMayBeTexts() {
        ObjectNode file = (ObjectNode) file("opt").deepCopy();
        var merges = JSON.createArrayNode();
        file.get("model").get("merges").forEach(pair -> merges.add(pair.get(0).asString() + " " + pair.get(1).asString()));
        ((ObjectNode) file.get("model")).set("merges", merges);
        assertArrayEquals(Tokenizer.fromJson(file("opt"), null).encode("the engines", false),
                Tokenizer.fromJson(file, null).encode("the engines", false));
    }

    static Stream<Arguments> refused() {
        return Stream.of(Arguments.of("{\"model\": {\"type\": \"WordPiece\"}}", "model.type", "Unigram"),
                Arguments.of("{\"normalizer\": {\"type\": \"BertNormalizer\"}}", "normalizer.type", "NFKC"),
                Arguments.of("{\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"Regex\": \"a+\"}, \"content\": \"\"}}",
                        "normalizer.pattern.Regex", "{2,}"),
                Arguments.of("{\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}}", "pre_tokenizer.type", "Metaspace"),
                Arguments.of(
                        "{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a+)+\"}, \"behavior\": \"Isolated\", \"invert\": false}}",
                        "pre_tokenizer.pattern.Regex", "\\p{N}{1,3}"),
                Arguments.of("{\"decoder\": {\"type\": \"CTC\"}}", "decoder.type", "ByteFallback"),
                Arguments.of("{\"model\": {\"dropout\": 0.1}}", "model.dropout", "none"),
                Arguments.of("{\"model\": {\"end_of_word_suffix\": \"</w>\"}}", "model.end_of_word_suffix", "none"));
    }

    @ParameterizedTest
    @MethodSource("refused")
    void whatIsNotKnownIsRefusedByName(String change, String key, String supported) {
        String message = assertThrows(UnsupportedTokenizerException.class, () -> Tokenizer.fromJson(changed("opt", change), null))
                .getMessage();
        assertTrue(message.startsWith(key + " is ") && message.contains(supported), message);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '§', value = {"{\"model\": null}§model", "{\"model\": {\"vocab\": {}}}§model.vocab",
            "{\"model\": {\"vocab\": {\"a\": -1}}}§model.vocab.a", "{\"model\": {\"vocab\": {\"a\": 1000000}}}§model.vocab",
            "{\"model\": {\"vocab\": {\"a\": 0, \"b\": 0}}}§model.vocab", "{\"model\": {\"vocab\": 3}}§model.vocab",
            "{\"model\": {\"merges\": null}}§model.merges", "{\"model\": {\"merges\": [\"a b c\"]}}§model.merges",
            "{\"model\": {\"merges\": [[\"a\"]]}}§model.merges", "{\"model\": {\"merges\": [[\"a\", \"nowhere\"]]}}§model.merges",
            "{\"added_tokens\": [{\"content\": \"x\"}]}§added_tokens.id",
            "{\"added_tokens\": [{\"id\": 1e9, \"content\": \"x\"}]}§added_tokens.id",
            "{\"added_tokens\": 7}§added_tokens", "{\"pre_tokenizer\": {\"type\": 3}}§pre_tokenizer.type",
            "{\"pre_tokenizer\": {\"add\": true, \"type\": null}}§pre_tokenizer.type",
            "{\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"}}§normalizer.precompiled_charsmap",
            "{\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"?\"}}§normalizer.precompiled_charsmap",
            "{\"normalizer\": {\"type\": \"Prepend\"}}§normalizer.prepend"})
    void whatIsMalformedIsRefusedByName(String change, String key) {
        MalformedTokenizerException thrown = assertThrows(MalformedTokenizerException.class,
                () -> Tokenizer.fromJson(changed("opt", change), null));
        assertEquals(key, thrown.key());
    }

    @Test
    void filesAreLimited(@TempDir Path folder) throws IOException {
        Path path = folder.resolve("tokenizer.json");
        Files.writeString(path, file("opt").toString());
        assertEquals(Tokenizer.fromJson(file("opt"), null).size(), Tokenizer.fromJson(path, null).size());
        Files.writeString(path, "{\"model\": ");
        assertTrue(assertThrows(MalformedTokenizerException.class, () -> Tokenizer.fromJson(path, null)).getMessage().contains("not JSON"));
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            file.setLength((64L << 20) + 1);
        }
        assertTrue(assertThrows(MalformedTokenizerException.class, () -> Tokenizer.fromJson(path, null)).getMessage().contains("bytes"));
    }
}
