package dev.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.TinyModel;
import dev.lacuna.cli.Terminalless.Run;
import dev.lacuna.hub.ModelStore;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Serving from the command line: what is refused, and that what is printed works. */
class ServeCommandTest {
    private static final String KEY = "a-key-of-this-test";

    @TempDir
    static Path folder;
    static String model;

    @BeforeAll
    static void writeModel() {
        model = TinyModel.write(folder.resolve("tiny.gguf")).toString();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"--host 0.0.0.0|--insecure", "--port 70000|port", "--api-key short|8 characters",
            "--api-key-file nowhere|nowhere", "--max-queue 0|waiting", "--sessions 0|--sessions", "--drain-timeout 0|drainTimeout",
            "--host no.such.host.invalid|no.such.host.invalid", "--model tiny=x --model tiny=y|two models"})
    void whatCannotBeServedIsToldBeforeAModelIsLoaded(String options, String told) {
        String[] said = ("serve " + options).split(" ");
        Run run = Terminalless.at(folder.resolve("home")).run(said);
        assertEquals(Exit.USAGE, run.status(), run.err());
        assertTrue(run.err().contains(told), run.err());
        assertEquals("", run.out());
    }

    @Test
    void whatIsPrintedWorks() throws Exception {
        Path keys = Files.writeString(folder.resolve("keys"), "# of a test\n" + KEY + "\n\n");
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Console console = new Console(new ByteArrayInputStream(new byte[0]), new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8), "", Map.of("LACUNA_API_KEY", "another-key"),
                () -> ModelStore.at(folder.resolve("home"), Map.of("HOME", folder.toString())));
        Thread serving = Thread.ofPlatform()
                .start(() -> Main.commandLine(console).execute("serve", model, "--model", "second=" + model, "--port", "0",
                        "--api-key-file", keys.toString(), "--ctx", "256", "--sessions", "2"));
        try {
            for (int i = 0; i < 1200 && !out.toString(StandardCharsets.UTF_8).contains("try: "); i++) TimeUnit.MILLISECONDS.sleep(50);
            String printed = out.toString(StandardCharsets.UTF_8);
            assertTrue(printed.contains("model: tiny, second"), printed + err.toString(StandardCharsets.UTF_8));
            assertTrue(printed.contains("runs on: "), printed);
            assertFalse(printed.contains(KEY), printed);
            String curl = printed.lines().filter(l -> l.startsWith("try: ")).findFirst().orElseThrow().substring(5);
            URI uri = URI.create(printed.lines().findFirst().orElseThrow().replace("listening on ", ""));
            assertTrue(curl.startsWith("curl " + uri + "/v1/chat/completions"), curl);
            assertEquals(401, models(uri, "wrong-key").statusCode());
            for (String key : new String[]{KEY, "another-key"}) {
                JsonNode list = JsonMapper.shared().readTree(models(uri, key).body());
                assertEquals("loaded", list.get("data").get(0).get("status").get("value").asString());
                assertEquals("unloaded", list.get("data").get(1).get("status").get("value").asString());
            }
            answers(curl.replace("'{\"model\"", "'{\"max_tokens\":3,\"model\""));
        } finally {
            serving.interrupt();
            serving.join(Duration.ofSeconds(60));
        }
        assertFalse(serving.isAlive());
    }

    private static HttpResponse<String> models(URI uri, String key) throws IOException, InterruptedException {
        try (HttpClient http = HttpClient.newHttpClient()) {
            return http.send(
                    HttpRequest.newBuilder(uri.resolve("/v1/models")).header("Authorization", "Bearer " + key)
                            .timeout(Duration.ofSeconds(60)).build(),
                    HttpResponse.BodyHandlers.ofString());
        }
    }

    /** Runs the line in a shell, where there is curl. */
    private static void answers(String line) throws IOException, InterruptedException {
        ProcessBuilder shell = new ProcessBuilder("sh", "-c",
                "command -v curl >/dev/null || exit 99; " + line.replaceFirst("^curl ", "curl -s -m 60 "));
        shell.environment().put("LACUNA_API_KEY", KEY);
        Process p = shell.redirectErrorStream(true).start();
        String answer = new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(p.waitFor(60, TimeUnit.SECONDS));
        if (p.exitValue() == 99) return; // no curl here: the rest was looked at
        assertEquals("chat.completion", JsonMapper.shared().readTree(answer).path("object").asString(), answer);
    }
}
