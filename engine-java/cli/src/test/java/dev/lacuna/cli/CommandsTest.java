package dev.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.TinyModel;
import dev.lacuna.cli.Terminalless.Run;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** Every command on a tiny model: what it prints where, its JSON, its exit status. */
class CommandsTest {
    private static final List<String> DESCRIBED = List.of("kernels", "threads", "activations", "kv", "weights", "context", "cacheBytes");

    @TempDir
    static Path folder;
    static String model;
    static Terminalless lacuna;

    @BeforeAll
    static void writeModel() {
        model = TinyModel.write(folder.resolve("tiny.gguf")).toString();
        lacuna = Terminalless.at(folder.resolve("home"));
    }

    private static List<String> fields(JsonNode node, String... before) {
        List<String> expected = new ArrayList<>(List.of(before));
        List<String> found = new ArrayList<>(node.propertyNames());
        expected.removeAll(found);
        assertEquals(List.of(), expected, "missing in " + node);
        return found;
    }

    private static List<Integer> ints(JsonNode array) {
        List<Integer> ints = new ArrayList<>();
        array.forEach(n -> ints.add(n.asInt()));
        return ints;
    }

    // ---- generate

    @Test
    void generatePrintsTheTextAlone() {
        Run json = lacuna.run("generate", model, "--prompt", "abc", "--max-tokens", "12", "--json");
        Run text = lacuna.run("generate", model, "--prompt", "abc", "--max-tokens", "12");
        assertEquals(0, text.status(), text.err());
        assertEquals(json.json().get("text").asString() + System.lineSeparator(), text.out());
        assertTrue(text.err().contains("tokens/s"), text.err());
        assertTrue(text.err().contains("cut after 12 tokens"), text.err());
    }

    @Test
    void generateJson() {
        Run run = lacuna.run("generate", model, "--prompt", "abc", "--max-tokens", "5", "--json");
        assertEquals(0, run.status(), run.err());
        JsonNode json = run.json();
        List<String> found = fields(json, "model", "promptIds", "outputIds", "text", "finishReason", "contextFull", "cachedTokens",
                "timings",
                "promptTokensPerSecond", "tokensPerSecond");
        assertTrue(found.containsAll(DESCRIBED), found.toString());
        fields(json.get("timings"), "loadSeconds", "queuedSeconds", "prefillSeconds", "decodeSeconds", "firstTokenSeconds");
        assertEquals(5, json.get("outputIds").size());
        assertEquals("length", json.get("finishReason").asString());
        assertFalse(json.get("contextFull").asBoolean());
        assertEquals(1, json.get("promptIds").get(0).asInt(), "the beginning-of-sequence token");
        assertEquals(1, run.out().lines().count(), "one line");
    }

    @Test
    void aFullContextIsTold() {
        Run run = lacuna.run("generate", model, "--prompt", "abc", "--max-tokens", "0", "--ctx", "24", "--json");
        assertEquals("length", run.json().get("finishReason").asString());
        assertTrue(run.json().get("contextFull").asBoolean());
        assertEquals(24, run.json().get("promptIds").size() + run.json().get("outputIds").size());
        assertTrue(run.err().contains("the context of 24 tokens is full"), run.err());
    }

    @Test
    void seedsReproduceTexts() {
        String[] args = {"generate", model, "--prompt", "abc", "--max-tokens", "24", "--temperature", "1.5", "--json", "--seed", "7"};
        String first = lacuna.run(args).json().get("outputIds").toString();
        assertEquals(first, lacuna.run(args).json().get("outputIds").toString());
        args[args.length - 1] = "8";
        assertNotEquals(first, lacuna.run(args).json().get("outputIds").toString());
    }

    @Test
    void aPromptFileIsTakenAsItIs() throws IOException {
        Path file = Files.writeString(folder.resolve("prompt.txt"), "<|user|>x\n<|assistant|>");
        JsonNode raw = lacuna.run("generate", model, "--prompt-file", file.toString(), "--max-tokens", "1", "--json").json();
        List<Integer> ids = ints(raw.get("promptIds"));
        assertTrue(ids.contains(3) && ids.contains(4), "special tokens are parsed: " + ids);
        JsonNode piped = lacuna.runWith("<|user|>x\n<|assistant|>", "generate", model, "--max-tokens", "1", "--json").json();
        assertEquals(ids, ints(piped.get("promptIds")));

        JsonNode chat = lacuna.run("generate", model, "--chat", "--prompt", "x<|assistant|>", "--max-tokens", "1", "--json").json();
        List<Integer> turn = ints(chat.get("promptIds"));
        assertEquals(1, turn.stream().filter(i -> i == 4).count(), "the template's own, not the one that the user spelled: " + turn);
        assertEquals(3, turn.get(1), "the user's turn begins after the beginning of the sequence");
    }

    // ---- tokenize

    @Test
    void tokenizeIsPlainTextUnlessSpecialsAreAskedFor() {
        JsonNode plain = lacuna.run("tokenize", model, "--text", "a<|user|>", "--json").json();
        fields(plain, "model", "tokens", "ids", "pieces");
        assertFalse(ints(plain.get("ids")).contains(3));
        assertEquals(plain.get("tokens").asInt(), plain.get("ids").size());
        assertEquals(plain.get("ids").size(), plain.get("pieces").size());

        JsonNode specials = lacuna.run("tokenize", model, "--text", "a<|user|>", "--specials", "--json").json();
        List<Integer> ids = ints(specials.get("ids"));
        assertEquals(1, ids.getFirst());
        assertEquals(3, ids.getLast());
        assertEquals("<|user|>", specials.get("pieces").get(ids.size() - 1).asString());
    }

    @Test
    void tokenizePrintsLines() {
        Run run = lacuna.runWith("ab", "tokenize", model);
        assertEquals(0, run.status(), run.err());
        List<String> lines = run.out().lines().toList();
        assertEquals("\u2581", lines.get(0).split("\t")[1]);
        assertEquals(List.of("a", "b"), lines.stream().skip(1).map(l -> l.split("\t")[1]).toList());
    }

    // ---- eval

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void evalJson(boolean decode) throws IOException {
        Path file = Files.writeString(folder.resolve("text.txt"), "the quick brown fox jumps over the lazy dog. ".repeat(6));
        List<String> args = new ArrayList<>(
                List.of("eval", model, "--text", file.toString(), "--window", "32", "--windows", "3", "--json"));
        if (decode) args.add("--decode");
        Run run = lacuna.run(args.toArray(String[]::new));
        assertEquals(0, run.status(), run.err());
        JsonNode json = run.json();
        List<String> found = fields(json, "perplexity", "nll", "window", "windows", "tokens", "seconds", "tokensPerSecond", "decode");
        assertTrue(found.containsAll(DESCRIBED), found.toString());
        assertEquals(3, json.get("nll").size());
        assertEquals(3 * 31, json.get("tokens").asInt());
        double sum = 0;
        for (JsonNode n : json.get("nll")) sum += n.asDouble();
        assertEquals(Math.exp(sum / 93), json.get("perplexity").asDouble(), 1e-9 * json.get("perplexity").asDouble());
    }

    /** What a format costs stands beside what the file gives. */
    @ParameterizedTest
    @ValueSource(strings = {"I8_24", "i8_bitmask", "I4_24_64", "I4_BITMASK_64"})
    void evalOfOtherWeightsSaysWhatTheyCost(String format) throws IOException {
        Path file = Files.writeString(folder.resolve("text.txt"), "the quick brown fox jumps over the lazy dog. ".repeat(6));
        List<String> args = List.of("eval", model, "--text", file.toString(), "--window", "32", "--windows", "2");
        Run stored = lacuna.run(Stream.concat(args.stream(), Stream.of("--json")).toArray(String[]::new));
        Run json = lacuna.run(Stream.concat(args.stream(), Stream.of("--weights", format, "--json")).toArray(String[]::new));
        assertEquals(0, json.status(), json.err());
        assertEquals(stored.json().get("perplexity").asDouble(), json.json().get("storedPerplexity").asDouble());
        assertEquals(2, json.json().get("storedNll").size());
        assertNotEquals(json.json().get("perplexity").asDouble(), json.json().get("storedPerplexity").asDouble());
        assertEquals(format.toUpperCase(Locale.ROOT), json.json().get("weights").asString());
        Run text = lacuna.run(Stream.concat(args.stream(), Stream.of("--weights", format)).toArray(String[]::new));
        String cost = "with the weights as the file has them: " + format.toUpperCase(Locale.ROOT) + " is ";
        assertTrue(text.out().contains(cost), text.out());
    }

    @Test
    void evalSaysWhenTheTextIsShort() throws IOException {
        Path file = Files.writeString(folder.resolve("short.txt"), "abcdefghijklmnop");
        Run some = lacuna.run("eval", model, "--text", file.toString(), "--window", "8", "--windows", "9", "--json");
        assertEquals(2, some.json().get("windows").asInt());
        assertTrue(some.err().contains("2 windows of 8, not 9"), some.err());
        Run none = lacuna.run("eval", model, "--text", file.toString());
        assertEquals(Exit.USAGE, none.status());
        assertTrue(none.err().contains("17 tokens, less than one window of 512"), none.err());
    }

    // ---- info, doctor, list, rm, pull

    @Test
    void infoJsonAbbreviatesLongArrays() {
        Run run = lacuna.run("info", model, "--json", "--ctx", "64");
        assertEquals(0, run.status(), run.err());
        JsonNode json = run.json();
        List<String> found = fields(json, "path", "name", "family", "shape", "metadata", "tensors", "weightsBytes", "hasTemplate",
                "decisions");
        assertTrue(found.containsAll(DESCRIBED), found.toString());
        assertEquals("llama", json.get("family").asString());
        assertEquals(357, json.get("metadata").get("tokenizer.ggml.tokens").get("length").asInt());
        assertEquals(64, json.get("context").asInt());
        assertEquals(2, json.get("shape").get("layers").asInt());
        long bytes = 0;
        for (JsonNode t : json.get("tensors")) bytes += t.get("bytes").asLong();
        assertEquals(json.get("weightsBytes").asLong(), bytes);
        assertTrue(json.get("decisions").size() > 0, "what runs where");
    }

    @Test
    void infoText() {
        Run run = lacuna.run("info", model, "--layers", "1", "--weights", "Q4_0", "--kv", "int8");
        assertEquals(0, run.status(), run.err());
        for (String part : List.of("tiny, llama, 1 layers of 64", "tokenizer.ggml.tokens = [357] <unk>", "Q8_0", "re-encoded", "I8",
                "What runs where")) {
            assertTrue(run.out().contains(part), part + " in " + run.out());
        }
    }

    @Test
    void infoSaysWhatPruningLeavesAlone() {
        Run text = lacuna.run("info", model, "--weights", "I8_24");
        assertEquals(0, text.status(), text.err());
        String left = "layers re-encoded as I8_24, embedding and output head as the file has them";
        assertTrue(text.out().contains(left), text.out());
        assertTrue(text.err().contains(left), text.err());
        JsonNode json = lacuna.run("info", model, "--weights", "I8_24", "--json").json();
        assertEquals("I8_24", json.get("weights").asString());
        assertEquals("file", json.get("tables").asString());
        assertEquals("Q4_0", lacuna.run("info", model, "--weights", "Q4_0", "--json").json().get("tables").asString());
    }

    @Test
    void doctorJson() {
        Run run = lacuna.run("doctor", "--json");
        assertEquals(0, run.status(), run.err());
        JsonNode json = run.json();
        fields(json, "java", "processor", "kernels", "memory", "cache", "problems");
        fields(json.get("java"), "version", "home", "flags", "vectorModule", "nativeAccess");
        fields(json.get("cache"), "home", "writable", "free", "models", "defaultModel");
        assertTrue(json.get("kernels").size() >= 2, json.get("kernels").toString());
        for (JsonNode p : json.get("problems")) assertFalse(p.get("fix").asString().isBlank(), p.toString());
        Run text = lacuna.run("doctor");
        assertTrue(text.out().contains("./lacuna pull smollm2-135m-instruct"), "an empty cache folder: " + text.out());
    }

    @Test
    void listJson() {
        JsonNode json = lacuna.run("list", "--json").json();
        fields(json, "home", "catalogue", "cached");
        fields(json.get("catalogue").get(0), "name", "title", "family", "licence", "bytes", "use", "sources", "sha256", "path");
        assertEquals(0, json.get("cached").size());
        String text = lacuna.run("list").out();
        assertTrue(text.contains("llama-3.2-3b-instruct") && text.contains("Apache-2.0"), text);
    }

    @Test
    void pullOfAPathPrintsIt() {
        Run run = lacuna.run("pull", model);
        assertEquals(model + System.lineSeparator(), run.out());
        assertEquals(Path.of(model).toFile().length(), lacuna.run("pull", model, "--json").json().get("bytes").asLong());
    }

    // ---- chat

    @Test
    void chatAnswersOnce() {
        Run run = lacuna.run("chat", model, "Hi", "--max-tokens", "8", "--seed", "3");
        assertEquals(0, run.status(), run.err());
        Run piped = lacuna.runWith("Hi\n", "chat", model, "--max-tokens", "8", "--seed", "3");
        assertEquals(0, piped.status(), piped.err());
        assertEquals(run.out(), piped.out());
        assertFalse(run.out().isBlank());
        assertTrue(run.err().contains("cut after 8 tokens"), run.err());
        assertFalse(run.err().contains("demonstration"), "only the default model is one");
        Run optioned = lacuna.run("chat", "--model", model, "Hi", "--max-tokens", "8", "--seed", "3");
        assertEquals(run.out(), optioned.out());
    }

    @Test
    void chatMakesAnotherAnswerEachTime() {
        String[] args = {"chat", model, "Hi", "--max-tokens", "32", "--temperature", "2", "--top-p", "1", "--min-p", "0"};
        assertNotEquals(lacuna.run(args).out(), lacuna.run(args).out());
    }

    // ---- failures

    static List<Arguments> failures() throws IOException {
        Path truncated = folder.resolve("truncated.gguf");
        byte[] bytes = Files.readAllBytes(Path.of(model));
        Files.write(truncated, java.util.Arrays.copyOf(bytes, bytes.length / 2));
        String other = TinyModel.writer("mamba").write(folder.resolve("other.gguf")).toString();
        String untemplated = TinyModel.writer("llama").write(folder.resolve("untemplated.gguf")).toString();
        Path latin = Files.write(folder.resolve("latin.txt"), new byte[]{'a', (byte) 0xE4, 'b'});
        return List.of(failure(Exit.USAGE, "a command is missing"), failure(Exit.USAGE, "--nonsense", "chat", "--nonsense"),
                failure(Exit.USAGE, "MODEL", "generate"), failure(Exit.USAGE, "--kv is f32, f16 or int8", "info", model, "--kv", "f8"),
                failure(Exit.USAGE, "temperature must be within", "generate", model, "--prompt", "a", "--temperature", "-1"),
                failure(Exit.USAGE, "--weights knows", "info", model, "--weights", "Q9"),
                failure(Exit.USAGE, "does not exist", "generate", model, "--prompt-file", folder.resolve("none.txt").toString()),
                failure(Exit.USAGE, "is not UTF-8", "generate", model, "--prompt-file", latin.toString()),
                failure(Exit.USAGE, "no question", "chat", model), failure(Exit.USAGE, "in quotes", "chat", model, "why", "so"),
                failure(Exit.USAGE, "drop-oldest", "chat", model, "why", "--overflow", "all"),
                failure(Exit.USAGE, "exclude each other", "tokenize", model, "--text", "a", "--text-file", "b"),
                failure(Exit.USAGE, "there is no chat template named 'nonsense'", "info", model, "--template", "nonsense"),
                failure(Exit.NO_MODEL, "there is no file", "info", folder.resolve("none.gguf").toString()),
                failure(Exit.NO_MODEL, "did you mean smollm2-135m-instruct", "info", "smollm2-135m-instrct"),
                failure(Exit.NO_MODEL, "is not in", "rm", "smollm2-135m-instruct"),
                failure(Exit.UNSUPPORTED, "truncated.gguf", "info", truncated.toString()),
                failure(Exit.UNSUPPORTED, "architecture 'mamba' is not supported; supported: llama", "chat", other, "Hi"),
                failure(Exit.UNSUPPORTED, "--template", "chat", untemplated, "Hi"),
                failure(Exit.UNSUPPORTED, "there are no kernels 'warp'", "info", model, "--kernels", "warp"),
                failure(Exit.UNSUPPORTED, "layer 7", "info", model, "--layers", "7"),
                failure(Exit.DOES_NOT_FIT, "--ctx", "info", model, "--ctx", "2000000000"),
                failure(Exit.DOES_NOT_FIT, "the context holds 16", "generate", model, "--ctx", "16", "--prompt", "a".repeat(40)));
    }

    private static Arguments failure(int status, String part, String... args) {
        return Arguments.of(status, part, args);
    }

    @ParameterizedTest
    @MethodSource("failures")
    void failuresHaveAStatusAndSayWhatToDo(int status, String part, String[] args) {
        Run run = lacuna.run(args);
        assertEquals(status, run.status(), run.err());
        assertEquals("", run.out(), "nothing but answers on standard output");
        assertTrue(run.err().contains(part), run.err());
        assertFalse(run.err().contains("\tat "), "no stack trace: " + run.err());
    }

    @Test
    void debugShowsTheStackTrace() {
        Run run = new Terminalless(lacuna.store(), Map.of("LACUNA_DEBUG", "1")).run("info", model, "--kernels", "warp");
        assertEquals(Exit.UNSUPPORTED, run.status());
        assertTrue(run.err().contains("\tat dev.lacuna"), run.err());
    }

    @ParameterizedTest
    @CsvSource({"--version, lacuna", "help, chat", "--help, doctor"})
    void helpAndVersionGoToStandardOutput(String argument, String part) {
        Run run = lacuna.run(argument);
        assertEquals(0, run.status());
        assertTrue(run.out().contains(part), run.out());
        assertFalse(run.out().contains("warm-up"), "hidden");
    }
}
