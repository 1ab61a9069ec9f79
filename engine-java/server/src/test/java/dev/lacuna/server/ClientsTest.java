package dev.lacuna.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.Checkout;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Other people's clients, unchanged, against a server: the scripts of {@code src/test/clients} and {@code src/test/page}, each a process of its own. What
 * they need is installed below {@code target} by the user's own pip and npm; a test is skipped, saying so, where these are missing or can fetch nothing.
 */
class ClientsTest {
    private static final Duration INSTALL = Duration.ofMinutes(5);
    private static final Duration RUN = Duration.ofMinutes(6);
    private static final int NO_BROWSER = 77; // as page.test.mjs says it
    private static final Path MODULE = Checkout.root().resolve("engine-java/server");

    private static ToyServer toy;

    @BeforeAll
    static void start() {
        toy = new ToyServer();
    }

    @AfterAll
    static void stop() {
        if (toy != null) toy.close();
    }

    private static Map<String, String> environment() {
        return new HashMap<>(Map.of("LACUNA_URL", toy.url(), "LACUNA_KEY", ToyServer.KEY, "LACUNA_MODEL", ToyServer.MODEL, "LACUNA_PAGE",
                MODULE.resolve("src/main/resources/dev/lacuna/server/page") + "/"));
    }

    private static void succeeds(Path folder, String... command) throws InterruptedException {
        var outcome = ChildProcess.run(folder, environment(), RUN, command);
        assumeTrue(outcome.exit() != ChildProcess.NOT_THERE, () -> "skipped: " + outcome.output());
        assumeTrue(outcome.exit() != NO_BROWSER,
                () -> outcome.output().lines().filter(l -> l.contains("skipped: ")).findFirst().orElse("skipped"));
        assertEquals(0, outcome.exit(), () -> String.join(" ", command) + (outcome.exit() == ChildProcess.TOO_LONG ? " took too long" : "")
                + "\n" + outcome.tail());
    }

    /** A copy of a folder of scripts below target, where their libraries may lie beside them. */
    private static Path copy(String scripts) throws IOException {
        Path from = MODULE.resolve("src/test").resolve(scripts);
        Path to = Files.createDirectories(MODULE.resolve("target").resolve(scripts));
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : files.toList()) Files.copy(file, to.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
        }
        return to;
    }

    private static void install(Path folder, String... command) throws InterruptedException {
        var outcome = ChildProcess.run(folder, Map.of(), INSTALL, command);
        assumeTrue(outcome.exit() == 0,
                () -> "skipped: " + String.join(" ", command) + " could not install what the test needs: " + outcome.tail());
    }

    private static Path python() throws IOException, InterruptedException {
        Path folder = copy("clients/python");
        Path python = folder.resolve("venv/bin/python");
        if (!Files.exists(python)) install(folder, "python3", "-m", "venv", "venv");
        install(folder, python.toString(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt");
        return folder;
    }

    private static Path node(String scripts) throws IOException, InterruptedException {
        Path folder = copy(scripts);
        install(folder, "npm", "install", "--no-audit", "--no-fund", "--silent");
        return folder;
    }

    @Test
    void curl() throws Exception {
        succeeds(MODULE.resolve("src/test/clients/curl"), "sh", "curl.sh");
    }

    @Test
    void openAiForPython() throws Exception {
        succeeds(python(), "venv/bin/python", "test_openai.py");
    }

    /** Requests made of the description, valid and invalid: no failure of the server, no answer that is not described. */
    @Test
    void describedByOpenApi() throws Exception {
        succeeds(python(), "venv/bin/schemathesis", "run", toy.url() + "/openapi.json", "-H", "Authorization: Bearer " + ToyServer.KEY,
                "--checks", String.join(",", List.of("not_a_server_error", "status_code_conformance", "content_type_conformance",
                        "response_schema_conformance", "response_headers_conformance", "negative_data_rejection",
                        "allow_header_conformance",
                        "unsupported_method")),
                "--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--seed", "1", "--request-timeout", "30", "--no-color");
    }

    @Test
    void openAiForNode() throws Exception {
        succeeds(node("clients/node"), "node", "--test", "openai.test.mjs");
    }

    @Test
    void chatPage() throws Exception {
        succeeds(node("page"), "node", "page.test.mjs");
    }

    @Test
    void chatPageOfThisServer() throws Exception {
        succeeds(node("page"), "node", "server.test.mjs");
    }

    /** What measures servers measures right. */
    @Test
    void benchmark() throws Exception {
        succeeds(Checkout.root().resolve("benchmarks/server"), "python3", "-B", "test_replay.py");
    }
}
