package dev.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.lacuna.Lacuna;
import dev.lacuna.cli.Terminalless.Run;
import dev.lacuna.hub.ModelNotAvailableException;
import dev.lacuna.hub.ModelStore;
import dev.lacuna.hub.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The commands on the default model, against the figures of its golden file. Skipped where the model cannot be fetched. */
class SmolLm2Test {
    private static final Terminalless LACUNA = new Terminalless(ModelStore::open, Map.of());

    @BeforeAll
    static void pull() {
        try {
            ModelStore.open().pull(Lacuna.DEFAULT_MODEL, Progress.NONE);
        } catch (ModelNotAvailableException e) {
            abort("the default model cannot be had here: " + e.getMessage());
        }
    }

    private static Path shared(String name) {
        Path at = Path.of("").toAbsolutePath();
        while (at != null && !Files.isDirectory(at.resolve(".mvn"))) at = at.getParent();
        // the project may be a worktree a folder deeper
        for (Path up = at; up != null; up = up.getParent()) {
            Path file = up.resolveSibling("shared").resolve(name);
            if (Files.exists(file)) return file;
        }
        return abort("there is no ../shared/" + name);
    }

    private static JsonNode golden() throws IOException {
        return JsonMapper.builder().build().readTree(Files.readString(shared("models/smollm2-135m-instruct/golden.json")));
    }

    @Test
    void promptIdsAreTheGoldenOnes() throws IOException {
        for (JsonNode prompt : golden().get("prompts")) {
            Path file = Files.createTempFile("prompt", ".txt");
            Files.writeString(file, prompt.get("text").asString());
            Run run = LACUNA.run("generate", Lacuna.DEFAULT_MODEL, "--prompt-file", file.toString(), "--max-tokens", "1", "--json", "--ctx",
                    "512");
            Files.delete(file);
            assertEquals(prompt.get("ids").toString(), run.json().get("promptIds").toString(), prompt.get("text").asString());
        }
    }

    @Test
    void wikitextHasTheGoldenTokens() throws IOException {
        JsonNode wiki = golden().get("wikitext2");
        String text = shared("data/wikitext2/wiki.test.raw").toString();
        JsonNode run = LACUNA.run("tokenize", Lacuna.DEFAULT_MODEL, "--text-file", text, "--json").json();
        assertEquals(wiki.get("total_tokens").asInt(), run.get("tokens").asInt());
        for (int i = 0; i < wiki.get("first_ids").size(); i++)
            assertEquals(wiki.get("first_ids").get(i).asInt(), run.get("ids").get(i).asInt(), "id " + i);
    }

    @Test
    void evalMatchesTheGoldenWindow() throws IOException {
        JsonNode wiki = golden().get("wikitext2");
        String text = shared("data/wikitext2/wiki.test.raw").toString();
        Run run = LACUNA.run("eval", Lacuna.DEFAULT_MODEL, "--text", text, "--windows", "2", "--activations", "f32", "--kv", "f32",
                "--json");
        assertEquals(0, run.status(), run.err());
        for (int w = 0; w < 2; w++) {
            double golden = wiki.get("nll_reference").get(w).asDouble();
            assertEquals(golden, run.json().get("nll").get(w).asDouble(), 3e-4 * golden, "window " + w);
        }
        assertEquals(wiki.get("total_tokens").asInt(), run.json().get("textTokens").asInt());
    }

    @Test
    void theDefaultModelAnswersAndIsAnnounced() {
        Run run = LACUNA.runWith("What is the capital of France?\n", "chat", "--temperature", "0", "--max-tokens", "24", "--ctx", "512",
                "--kernels", "plain"); // the Vector API leaves the order of float sums open: two runs of it need not agree
        assertEquals(0, run.status(), run.err());
        assertFalse(run.out().isBlank());
        assertTrue(run.err().contains("demonstration") && run.err().contains("./lacuna pull llama-3.2-3b-instruct"), run.err());
        Run word = LACUNA.run("chat", "What is the capital of France?", "--temperature", "0", "--max-tokens", "24", "--ctx", "512",
                "--kernels", "plain");
        assertEquals(run.out(), word.out(), "a single argument that is no model is the question");
    }
}
