package dev.lacuna.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.Checkout;
import dev.lacuna.files.Gguf;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * Real vocabularies, where models/tokenizers/fetch.sh has put them, against digests of what the reference libraries give for the same texts (corpus.py).
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS) // for the tokenizers that were read, which takes as long as some of the tests
class TokenizerParityTest {
    private static final JsonNode EXPECTED = new ObjectMapper()
            .readTree(TokenizerParityTest.class.getResourceAsStream("expected-digests.json"));
    /** Characters of a long run: what takes quadratic time takes minutes for a tenth of them already. */
    private static final int LONG = Boolean.getBoolean("lacuna.test.full") ? 1_000_000 : 100_000;
    private static final Path SHARED = Checkout.root().resolveSibling("shared");

    /** A family's tokenizer and the special tokens that the corpus is sprinkled with. */
    private record Family(Tokenizer tokenizer, List<String> specials) {}

    private static Path home() {
        String home = System.getenv("LACUNA_HOME");
        if (home != null && !home.isEmpty()) {
            return Path.of(home);
        }
        String cache = System.getenv("XDG_CACHE_HOME");
        return (cache != null && !cache.isEmpty() ? Path.of(cache) : Path.of(System.getProperty("user.home"), ".cache")).resolve("lacuna");
    }

    private final Map<String, Family> read = new HashMap<>();

    private Family family(String name) throws IOException {
        Family family = read.get(name);
        if (family == null) {
            family = readFamily(name);
            read.put(name, family);
        }
        return family;
    }

    private static Family readFamily(String name) throws IOException {
        Path folder = home().resolve("tokenizers").resolve(name);
        Path json = folder.resolve("tokenizer.json");
        if (Files.exists(json)) {
            JsonNode file = new ObjectMapper().readTree(Files.readAllBytes(json));
            List<String> specials = StreamSupport.stream(file.get("added_tokens").spliterator(), false)
                    .sorted(Comparator.comparingInt(token -> token.get("id").asInt())).limit(64)
                    .map(token -> token.get("content").asString())
                    .toList();
            return new Family(Tokenizer.fromJson(json, folder.resolve("tokenizer_config.json")), specials);
        }
        Path gguf = name.equals("tok512") ? SHARED.resolve("models/stories260K/stories260K-f32.gguf") : folder.resolve("model.gguf");
        assumeTrue(Files.exists(gguf), () -> gguf + " is not there; models/tokenizers/fetch.sh fetches the vocabularies");
        try (Gguf model = Gguf.open(gguf)) {
            Tokenizer tokenizer = Tokenizer.fromGguf(model.metadata());
            List<String> specials = new ArrayList<>();
            for (int id = 0; id < tokenizer.size() && !name.equals("tok512"); id++) {
                if (tokenizer.isControl(id)) {
                    specials.add(tokenizer.piece(id));
                }
            }
            return new Family(tokenizer, specials.subList(0, Math.min(64, specials.size())));
        }
    }

    static Stream<String> families() {
        return EXPECTED.propertyNames().stream();
    }

    private static String digest(Tokenizer tokenizer, List<String> strings, boolean parseSpecial) {
        MessageDigest sha;
        try {
            sha = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException missing) {
            throw new IllegalStateException(missing);
        }
        for (String string : strings) {
            int[] ids = tokenizer.encode(string, parseSpecial);
            ByteBuffer bytes = ByteBuffer.allocate(4 * ids.length + 4).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asIntBuffer().put(ids).put(-1);
            sha.update(bytes);
        }
        return HexFormat.of().formatHex(sha.digest());
    }

    @ParameterizedTest
    @MethodSource("families")
    void givesTheReferencesIds(String name) throws IOException {
        Family family = family(name);
        boolean special = !family.specials.isEmpty();
        assertEquals(EXPECTED.get(name).get("corpus").asString(),
                digest(family.tokenizer, ParityCorpus.strings(family.specials, ParityCorpus.COUNT), special));
    }

    static Stream<Arguments> texts() {
        return families().flatMap(
                family -> Stream.of("wikitext2/wiki.test.raw", "mt_bench/question.jsonl").map(text -> Arguments.of(family, text)));
    }

    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("texts")
    void givesTheReferencesIdsForRealText(String name, String text) throws IOException {
        Path path = SHARED.resolve("data").resolve(text);
        assumeTrue(Files.exists(path), () -> path + " is not there");
        Family family = family(name);
        String whole = Files.readString(path);
        List<String> strings = new ArrayList<>(List.of(whole));
        strings.addAll(List.of(whole.split("\n", -1)));
        assertEquals(EXPECTED.get(name).get(path.getFileName().toString()).asString(),
                digest(family.tokenizer, strings, !family.specials.isEmpty()));
    }

    @ParameterizedTest
    @MethodSource("families")
    void decodesAndStreamsWhatItEncoded(String name) throws IOException {
        Family family = family(name);
        Tokenizer tokenizer = family.tokenizer;
        boolean composed = name.startsWith("qwen");
        for (String string : ParityCorpus.strings(List.of(), 5000)) {
            int[] ids = tokenizer.encode(string, false);
            // a metaspace in text reads as a space again
            String wanted = (composed ? Normalizer.normalize(string, Normalizer.Form.NFC) : string).replace('\u2581', ' ');
            assertEquals(wanted, tokenizer.decode(ids).replace('\u2581', ' '));
            StreamDecoder stream = new StreamDecoder(tokenizer);
            StringBuilder joined = new StringBuilder();
            for (int id : ids) {
                String part = stream.next(id);
                assertFalse(part.contains("\uFFFD") && !wanted.contains("\uFFFD"), "a character was cut");
                joined.append(part);
            }
            assertEquals(wanted, joined.append(stream.finish()).toString().replace('\u2581', ' '));
        }
    }

    @ParameterizedTest
    @MethodSource("families")
    void longRunsTakeLinearTime(String name) throws IOException {
        Tokenizer tokenizer = family(name).tokenizer;
        for (String text : List.of("a", " ", "\n", "漢", "1", "\u0301", "A", "!")) {
            String run = text.repeat(LONG);
            assertEquals(run.getBytes(StandardCharsets.UTF_8).length,
                    tokenizer.decode(tokenizer.encode(run, true)).getBytes(StandardCharsets.UTF_8).length);
        }
    }
}
