package dev.lacuna.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.text.Normalizer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** Against ids from Hugging Face tokenizers and sentencepiece on vocabularies trained by the script beside the expected values. */
class TokenizerTest {
    private static final JsonNode EXPECTED = new ObjectMapper().readTree(TokenizerTest.class.getResourceAsStream("expected-tokens.json"));
    private static final List<String> PRES = List.of("gpt-2", "smollm", "llama-bpe", "qwen2");

    private static String[] strings(JsonNode node) {
        return node.valueStream().map(JsonNode::asString).toArray(String[]::new);
    }

    private static int[] ints(JsonNode node) {
        return node.valueStream().mapToInt(JsonNode::asInt).toArray();
    }

    static Map<String, Object> byteLevel(String pre) {
        JsonNode vocabulary = EXPECTED.get("bytes");
        Map<String, Object> metadata = new HashMap<>();
        metadata.put("tokenizer.ggml.model", "gpt2");
        metadata.put("tokenizer.ggml.pre", pre);
        metadata.put("tokenizer.ggml.tokens", strings(vocabulary.get("tokens")));
        metadata.put("tokenizer.ggml.merges", strings(vocabulary.get("merges")));
        metadata.put("tokenizer.ggml.token_type", ints(vocabulary.get("types")));
        metadata.put("tokenizer.ggml.bos_token_id", 0L);
        metadata.put("tokenizer.ggml.add_bos_token", false);
        return metadata;
    }

    static Map<String, Object> sentencePiece(boolean prefix) {
        JsonNode vocabulary = EXPECTED.get("pieces");
        Map<String, Object> metadata = new HashMap<>();
        metadata.put("tokenizer.ggml.model", "llama");
        metadata.put("tokenizer.ggml.tokens", strings(vocabulary.get("tokens")));
        double[] scores = vocabulary.get("scores").valueStream().mapToDouble(JsonNode::asDouble).toArray();
        float[] narrow = new float[scores.length];
        for (int i = 0; i < scores.length; i++) {
            narrow[i] = (float) scores[i];
        }
        metadata.put("tokenizer.ggml.scores", narrow);
        metadata.put("tokenizer.ggml.token_type", ints(vocabulary.get("types")));
        metadata.put("tokenizer.ggml.add_space_prefix", prefix);
        metadata.put("tokenizer.ggml.unknown_token_id", 0L);
        metadata.put("tokenizer.ggml.bos_token_id", 1L);
        metadata.put("tokenizer.ggml.eos_token_id", 2L);
        return metadata;
    }

    /** The same pieces with the byte tokens unused, so that unknown characters have no fallback. */
    private static Map<String, Object> withoutBytes() {
        Map<String, Object> metadata = sentencePiece(true);
        metadata.put("tokenizer.ggml.token_type",
                Arrays.stream((int[]) metadata.get("tokenizer.ggml.token_type")).map(t -> t == 6 ? 5 : t).toArray());
        return metadata;
    }

    static Stream<Arguments> vocabularies() {
        return Stream.concat(PRES.stream().map(pre -> Arguments.of(pre, byteLevel(pre), EXPECTED.at("/bytes/ids").get(pre))),
                Stream.of(Arguments.of("SentencePiece", sentencePiece(true), EXPECTED.at("/pieces/ids/prefix")),
                        Arguments.of("SentencePiece without prefix", sentencePiece(false), EXPECTED.at("/pieces/ids/plain")),
                        Arguments.of("SentencePiece without bytes", withoutBytes(), EXPECTED.at("/pieces/ids/unknown"))));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("vocabularies")
    void givesTheReferencesIds(String name, Map<String, Object> metadata, JsonNode expected) {
        Tokenizer tokenizer = Tokenizer.fromGguf(metadata);
        String[] strings = strings(EXPECTED.get("strings"));
        assertEquals(strings.length, expected.size());
        for (int round = 0; round < 2; round++) { // the second round finds its words in the cache
            for (int i = 0; i < strings.length; i++) {
                int[] ids = tokenizer.encode(strings[i], true);
                assertArrayEquals(ints(expected.get(i)), ids, () -> name + " gives " + Arrays.toString(ids));
            }
        }
    }

    private static String random(Random random) {
        StringBuilder text = new StringBuilder();
        int[][] ranges = {{0x20, 0x7F}, {0x20, 0x21}, {0xA0, 0x250}, {0x300, 0x370}, {0x4E00, 0x4F00}, {0x1F300, 0x1F700}, {9, 14},
                {0, 0x10FFFF}};
        for (int n = random.nextInt(40); n > 0; n--) {
            int[] range = ranges[random.nextInt(ranges.length)];
            int codePoint = range[0] + random.nextInt(range[1] - range[0]);
            if (codePoint < 0xD800 || codePoint > 0xDFFF) {
                text.append(Character.toString(codePoint).repeat(random.nextInt(8) == 0 ? 70 : 1));
            }
        }
        return text.toString();
    }

    static Stream<Arguments> lossless() {
        return vocabularies().filter(a -> !a.get()[0].equals("SentencePiece without bytes"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("lossless")
    void decodesWhatItEncoded(String name, Map<String, Object> metadata, JsonNode expected) {
        Tokenizer tokenizer = Tokenizer.fromGguf(metadata);
        Random random = new Random(11);
        for (int i = 0; i < 2000; i++) {
            String text = random(random);
            int[] ids = tokenizer.encode(text, i % 2 == 0);
            String wanted = name.equals("qwen2") ? Normalizer.normalize(text, Normalizer.Form.NFC) : text;
            assertEquals(wanted, tokenizer.decode(ids), () -> "seed 11, ids " + Arrays.toString(ids));
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("lossless")
    void streamsWholeCharacters(String name, Map<String, Object> metadata, JsonNode expected) {
        Tokenizer tokenizer = Tokenizer.fromGguf(metadata);
        Random random = new Random(12);
        int held = 0;
        for (int i = 0; i < 1000; i++) {
            // valid text, and ids at random, which are mostly not valid UTF-8
            int[] ids = i % 2 == 0 ? tokenizer.encode(random(random), false) : random.ints(30, 0, tokenizer.size()).toArray();
            StreamDecoder decoder = new StreamDecoder(tokenizer);
            StringBuilder joined = new StringBuilder();
            for (int id : ids) {
                String part = decoder.next(id);
                held += part.isEmpty() ? 1 : 0;
                assertFalse(!part.isEmpty() && Character.isHighSurrogate(part.charAt(part.length() - 1)));
                if (i % 2 == 0) {
                    assertFalse(part.contains("\uFFFD"), "a character was cut");
                }
                joined.append(part);
            }
            assertEquals(tokenizer.decode(ids), joined + decoder.finish(), "seed 12");
        }
        assertTrue(held > 100, "no character was ever split between tokens");
    }

    @Test
    void theFirstSpaceIsTakenAwayOnlyAtTheStart() {
        Tokenizer tokenizer = Tokenizer.fromGguf(sentencePiece(true));
        int[] ids = tokenizer.encode("the", false);
        assertEquals("the", tokenizer.decode(ids));
        assertEquals("the", new StreamDecoder(tokenizer).next(ids[0]));
        assertEquals(" the", new StreamDecoder(tokenizer, true).next(ids[0]));
        assertEquals("<s>the the", tokenizer.decode(new int[]{1, ids[0], ids[0]}));
    }

    @Test
    void anIncompleteCharacterIsFlushedAsReplacement() {
        Tokenizer tokenizer = Tokenizer.fromGguf(sentencePiece(true));
        StreamDecoder decoder = new StreamDecoder(tokenizer);
        int lead = tokenizer.id("<0xF0>").orElseThrow();
        assertEquals("", decoder.next(lead));
        assertEquals("", decoder.next(tokenizer.id("<0x9F>").orElseThrow()));
        assertEquals("\uFFFD", decoder.finish());
        assertEquals("", decoder.finish());
        assertEquals("", decoder.next(lead));
        assertEquals("\uFFFDA", decoder.next(tokenizer.id("<0x41>").orElseThrow()));
    }

    @Test
    void controlTokensInTextAreOnlyParsedOnRequest() {
        Tokenizer tokenizer = Tokenizer.fromGguf(byteLevel("gpt-2"));
        int end = tokenizer.id("<|end|>").orElseThrow();
        int user = tokenizer.id("<|a|>").orElseThrow();
        assertArrayEquals(new int[]{end, user}, tokenizer.encode("<|end|><|a|>", true));
        int[] plain = tokenizer.encode("<|end|><|a|>", false);
        assertTrue(IntStream.of(plain).noneMatch(id -> id == end));
        assertEquals(user, plain[plain.length - 1]);
        assertEquals("<|end|><|a|>", tokenizer.decode(plain));
        assertEquals(Set.of(end), tokenizer.eos());
        assertTrue(tokenizer.isControl(end));
        assertFalse(tokenizer.isControl(user));
        assertArrayEquals("<|a|>".getBytes(java.nio.charset.StandardCharsets.UTF_8), tokenizer.bytes(user));
    }

    @Test
    void theTextOfControlTokensOfSentencePieceIsNotAToken() {
        Tokenizer tokenizer = Tokenizer.fromGguf(sentencePiece(false));
        assertArrayEquals(new int[]{1}, tokenizer.encode("<s>", true));
        assertTrue(
                IntStream.of(tokenizer.encode("<s><0x41>", false)).noneMatch(id -> id == 1 || id == tokenizer.id("<0x41>").orElseThrow()));
    }

    @Test
    void describesItsVocabulary() {
        Tokenizer tokenizer = Tokenizer.fromGguf(sentencePiece(true));
        assertEquals(420, tokenizer.size());
        assertEquals(1, tokenizer.bos());
        assertTrue(tokenizer.addBos());
        assertEquals(Set.of(2), tokenizer.eos());
        assertEquals(OptionalInt.empty(), tokenizer.id("no such piece"));
        for (int id = 0; id < tokenizer.size(); id++) {
            assertEquals(id, tokenizer.id(tokenizer.piece(id)).orElseThrow());
        }
        assertEquals(-1, Tokenizer.fromGguf(without(byteLevel("gpt-2"), "bos_token_id")).bos());
        for (int id : new int[]{-1, 420, Integer.MAX_VALUE}) {
            assertThrows(IndexOutOfBoundsException.class, () -> tokenizer.bytes(id));
            assertThrows(IndexOutOfBoundsException.class, () -> tokenizer.decode(new int[]{id}));
        }
    }

    @Test
    void unpairedSurrogatesAreReadAsReplacements() {
        for (String pre : PRES) {
            Tokenizer tokenizer = Tokenizer.fromGguf(byteLevel(pre));
            assertEquals("a\uFFFDb\uFFFD", tokenizer.decode(tokenizer.encode("a\uD83Db\uDE00", true)));
        }
        Tokenizer tokenizer = Tokenizer.fromGguf(sentencePiece(true));
        assertEquals("a\uFFFDb\uFFFD", tokenizer.decode(tokenizer.encode("a\uD83Db\uDE00", true)));
    }

    static Stream<Arguments> longTexts() {
        return lossless().flatMap(
                a -> Stream.of("a", " ", "\n", "'", "漢", "1", " a", "\u0301").map(text -> Arguments.of(a.get()[0], a.get()[1], text)));
    }

    /** Finishes at all: anything quadratic would take hours. */
    @ParameterizedTest(name = "{0}: {2}")
    @MethodSource("longTexts")
    void longRunsAreLinear(String name, Map<String, Object> metadata, String text) {
        Tokenizer tokenizer = Tokenizer.fromGguf(metadata);
        String run = text.repeat(1_000_000 / text.length());
        int[] ids = tokenizer.encode(run, true);
        assertEquals(run.length(), tokenizer.decode(ids).length());
    }

    @ParameterizedTest
    @ValueSource(strings = {"gpt-2", "llama-bpe"})
    void tenMegabytesOfOneCharacter(String pre) {
        String run = "a".repeat(10_000_000);
        Tokenizer tokenizer = Tokenizer.fromGguf(byteLevel(pre));
        assertEquals(run, tokenizer.decode(tokenizer.encode(run, false)));
    }

    @Test
    void mergingTakesLinearithmicSteps() {
        MergeTable table = new MergeTable(20);
        for (int level = 0; level < 20; level++) {
            table.add(level, level, level, level + 1);
        }
        int n = 1 << 20;
        Merger merger = new Merger(table);
        merger.reserve(n);
        Arrays.fill(merger.ids, 0, n, 0);
        assertEquals(1, merger.merge(n));
        assertEquals(20, merger.ids[0]);
        assertTrue(merger.steps() < 4L * n, () -> merger.steps() + " steps");
    }

    @Test
    void shortAndLongWordsMergeAlike() {
        Random random = new Random(5);
        MergeTable table = new MergeTable(60);
        for (int i = 0; i < 60; i++) {
            table.add(random.nextInt(12), random.nextInt(12), random.nextInt(8), random.nextInt(12)); // ranks with ties
        }
        for (int round = 0; round < 2000; round++) {
            int n = 1 + random.nextInt(90);
            int[] symbols = random.ints(n, 0, 12).toArray();
            Merger merger = new Merger(table);
            System.arraycopy(symbols, 0, merger.ids, 0, n);
            int left = merger.merge(n);
            assertArrayEquals(naive(table, symbols), Arrays.copyOf(merger.ids, left), "seed 5");
        }
    }

    private static int[] naive(MergeTable table, int[] symbols) {
        int[] ids = symbols;
        while (true) {
            long best = (long) MergeTable.NONE << 32;
            int at = -1;
            for (int i = 0; i + 1 < ids.length; i++) {
                long merge = table.merge(ids[i], ids[i + 1]);
                if (merge >>> 32 < best >>> 32) {
                    best = merge;
                    at = i;
                }
            }
            if (at < 0) {
                return ids;
            }
            int[] next = new int[ids.length - 1];
            System.arraycopy(ids, 0, next, 0, at);
            next[at] = (int) best;
            System.arraycopy(ids, at + 2, next, at + 1, ids.length - at - 2);
            ids = next;
        }
    }

    @Test
    void threadsShareOneTokenizer() {
        Tokenizer tokenizer = Tokenizer.fromGguf(byteLevel("qwen2"));
        String[] strings = strings(EXPECTED.get("strings"));
        JsonNode expected = EXPECTED.at("/bytes/ids/qwen2");
        long wrong = IntStream.range(0, 20_000).parallel()
                .filter(i -> !Arrays.equals(ints(expected.get(i % strings.length)), tokenizer.encode(strings[i % strings.length], true)))
                .count();
        assertEquals(0, wrong);
    }

    private static Map<String, Object> without(Map<String, Object> metadata, String key) {
        metadata.remove("tokenizer.ggml." + key);
        return metadata;
    }

    private static Arguments broken(Map<String, Object> metadata, String key, Consumer<Map<String, Object>> change) {
        change.accept(metadata);
        return Arguments.of("tokenizer.ggml." + key, metadata);
    }

    private static Arguments broken(Map<String, Object> metadata, String key, Object value) {
        return broken(metadata, key, m -> m.put("tokenizer.ggml." + key, value));
    }

    static Stream<Arguments> malformed() {
        return Stream.of(broken(byteLevel("gpt-2"), "model", m -> m.remove("tokenizer.ggml.model")),
                broken(byteLevel("gpt-2"), "model", 7L),
                broken(byteLevel("gpt-2"), "tokens", m -> m.remove("tokenizer.ggml.tokens")),
                broken(byteLevel("gpt-2"), "tokens", new String[0]),
                broken(byteLevel("gpt-2"), "tokens", new int[]{1}), broken(byteLevel("gpt-2"), "token_type", new int[]{1}),
                broken(byteLevel("gpt-2"), "token_type", IntStream.range(0, 423).map(i -> 9).toArray()),
                broken(byteLevel("gpt-2"), "merges", m -> m.remove("tokenizer.ggml.merges")),
                broken(byteLevel("gpt-2"), "merges", new String[]{"nospace"}), broken(byteLevel("gpt-2"), "merges", new String[]{"a ƁƁƁ"}),
                broken(byteLevel("gpt-2"), "merges", new String[]{""}), broken(byteLevel("gpt-2"), "bos_token_id", 423L),
                broken(byteLevel("gpt-2"), "bos_token_id", -1L), broken(byteLevel("gpt-2"), "eos_token_id", Long.MAX_VALUE),
                broken(byteLevel("gpt-2"), "eos_token_id", "2"), broken(byteLevel("gpt-2"), "add_bos_token", 1L),
                broken(sentencePiece(true), "bos_token_id", m -> m.remove("tokenizer.ggml.bos_token_id")),
                broken(sentencePiece(true), "scores", m -> m.remove("tokenizer.ggml.scores")),
                broken(sentencePiece(true), "scores", new float[3]),
                broken(sentencePiece(true), "scores", nan()),
                broken(withoutBytes(), "unknown_token_id", m -> m.remove("tokenizer.ggml.unknown_token_id")),
                broken(sentencePiece(true), "tokens", m -> tokens(m)[5] = "<0xZZ>"),
                broken(sentencePiece(true), "tokens", m -> tokens(m)[300] = tokens(m)[301]),
                broken(byteLevel("gpt-2"), "tokens", m -> tokens(m)[421] = "x".repeat(300)));
    }

    private static String[] tokens(Map<String, Object> metadata) {
        return (String[]) metadata.get("tokenizer.ggml.tokens");
    }

    private static float[] nan() {
        float[] scores = new float[420];
        scores[17] = Float.NaN;
        return scores;
    }

    @ParameterizedTest
    @MethodSource("malformed")
    void malformedVocabulariesNameTheKey(String key, Map<String, Object> metadata) {
        MalformedTokenizerException thrown = assertThrows(MalformedTokenizerException.class, () -> Tokenizer.fromGguf(metadata));
        assertEquals(key, thrown.key());
        assertTrue(thrown.getMessage().startsWith(key + ": "), thrown.getMessage());
    }

    @Test
    void unknownModelsAreRefusedByName() {
        Map<String, Object> pre = byteLevel("bert-bge");
        String message = assertThrows(UnsupportedTokenizerException.class, () -> Tokenizer.fromGguf(pre)).getMessage();
        assertTrue(message.contains("bert-bge") && message.contains("qwen2") && message.contains("smollm"), message);
        Map<String, Object> model = byteLevel("gpt-2");
        model.put("tokenizer.ggml.model", "bert");
        message = assertThrows(UnsupportedTokenizerException.class, () -> Tokenizer.fromGguf(model)).getMessage();
        assertTrue(message.contains("bert") && message.contains("gpt2, llama"), message);
    }

    @Test
    void malformedUtf8GivesOneReplacementForEachMaximalPart() {
        // the example of Unicode 16, table 3-11, and the cases beside it
        byte[] bytes = {0x61, (byte) 0xF1, (byte) 0x80, (byte) 0x80, (byte) 0xE1, (byte) 0x80, (byte) 0xC2, 0x62, (byte) 0x80, 0x63,
                (byte) 0x80, (byte) 0xBF,
                0x64};
        assertEquals("a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd", Utf8.decode(bytes, bytes.length));
        byte[] surrogate = {(byte) 0xED, (byte) 0xA0, (byte) 0x80, (byte) 0xF4, (byte) 0x90, (byte) 0xC0, (byte) 0xF0, (byte) 0x9F,
                (byte) 0x99, (byte) 0x82,
                (byte) 0xE0, (byte) 0x80};
        assertEquals("\uFFFD".repeat(6) + "🙂" + "\uFFFD".repeat(2), Utf8.decode(surrogate, surrogate.length));
    }

    @Test
    void wellFormedUtf8DecodesAsTheJdkDoes() {
        StringBuilder all = new StringBuilder();
        IntStream.rangeClosed(0, Character.MAX_CODE_POINT).filter(c -> c < 0xD800 || c > 0xDFFF).forEach(all::appendCodePoint);
        byte[] bytes = all.toString().getBytes(java.nio.charset.StandardCharsets.UTF_8);
        assertEquals(all.toString(), Utf8.decode(bytes, bytes.length));
    }
}
