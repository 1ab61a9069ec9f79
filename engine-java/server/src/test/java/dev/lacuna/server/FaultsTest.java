package dev.lacuna.server;

import static dev.lacuna.server.TestServer.CHAT;
import static dev.lacuna.server.TestServer.COMPLETIONS;
import static dev.lacuna.server.TestServer.chat;
import static dev.lacuna.server.TestServer.completion;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Checkout;
import dev.lacuna.Lacuna;
import dev.lacuna.TinyModel;
import java.io.IOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.json.JsonMapper;

/** What breaks inside: memory (F8), the engine's thread (F9), clocks (F11). */
class FaultsTest {
    private static final int NEIGHBOURS = 16;

    @TempDir
    Path folder;

    /** Ends the engine's loop from outside, as an error of its own would. */
    private static void killEngine() {
        Thread.getAllStackTraces().keySet().stream().filter(t -> t.getName().equals("lacuna-engine"))
                .max(Comparator.comparingLong(Thread::threadId))
                .orElseThrow().interrupt();
    }

    @Test
    void anEngineThatDiesFailsItsRequestsAndReadinessTellsIt() throws Exception {
        try (TestServer s = TestServer.start(); ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<TestServer.Reply> whole = threads.submit(() -> s.post(COMPLETIONS, completion("a", 100_000, "\"n\":4,\"logprobs\":20")));
            Future<TestServer.Reply> stream = threads
                    .submit(() -> s.post(COMPLETIONS, completion("b", 100_000, "\"n\":4,\"logprobs\":20,\"stream\":true")));
            TestServer.await("both run", () -> s.model.stats().running() == 8);
            killEngine();
            whole.get().error(500);
            assertEquals("internal_error", stream.get().events().getLast().get("error").get("code").asString());
            assertEquals("model_failed", s.get("/health/ready").error(503).get("code").asString());
            assertEquals(200, s.get("/health/live").status());
            s.post(CHAT, chat("hi", "\"max_tokens\":1")).error(503);
            assertEquals("failed", s.get("/v1/models").json().get("data").get(0).get("status").get("value").asString());
            s.assertSettled();
        }
    }

    @Test
    void anEngineThatDiesIsOpenedAnewWhereTheServerOpenedIt() throws Exception {
        Path file = TinyModel.write(folder.resolve("tiny.gguf"), TestServer.CONTEXT);
        List<Lacuna> opened = new ArrayList<>();
        ServedModel served = new ServedModel("tiny", () -> {
            Lacuna model = Lacuna.open(file, TestServer.options(2));
            opened.add(model);
            return model;
        });
        try (LacunaServer server = LacunaServer.start(List.of(served), ServerOptions.DEFAULT.withPort(0));
                HttpClient http = HttpClient.newHttpClient()) {
            assertEquals(200, post(http, server, chat("hi", "\"max_tokens\":1")).statusCode());
            killEngine();
            TestServer.await("it has failed", () -> opened.getFirst().failure() != null);
            assertEquals(200, post(http, server, chat("hi", "\"max_tokens\":1")).statusCode());
            assertEquals(2, opened.size());
        }
    }

    private static HttpResponse<String> post(HttpClient http, LacunaServer server, String body) throws IOException, InterruptedException {
        return http.send(
                HttpRequest.newBuilder(server.uri().resolve(CHAT)).header("Content-Type", "application/json").timeout(TestServer.LONGEST)
                        .version(HttpClient.Version.HTTP_1_1).POST(HttpRequest.BodyPublishers.ofString(body)).build(),
                HttpResponse.BodyHandlers.ofString());
    }

    /** One request wants more heap than there is: it alone is refused. */
    @Test
    void aRequestThatNeedsTooMuchMemoryFailsAlone() throws Exception {
        String model = TinyModel.write(folder.resolve("tiny.gguf"), TestServer.CONTEXT).toString();
        try (ServerProcess server = ServerProcess.start(List.of("-Xmx96m"), model, "5000", "1000000000");
                HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            String alone = text(http, server, 0);
            List<Future<String>> neighbours = new ArrayList<>();
            for (int i = 0; i < NEIGHBOURS; i++) {
                int n = i;
                neighbours.add(threads.submit(() -> text(http, server, n)));
            }
            byte[] part = " ".repeat(1 << 20).getBytes(StandardCharsets.US_ASCII);
            Iterable<byte[]> parts = () -> Stream.generate(() -> part).limit(120).iterator();
            HttpRequest big = HttpRequest.newBuilder(server.uri.resolve(CHAT)).header("Content-Type", "application/json")
                    .timeout(TestServer.LONGEST)
                    .POST(HttpRequest.BodyPublishers.ofByteArrays(parts)).build();
            HttpResponse<String> refused = http.send(big, HttpResponse.BodyHandlers.ofString());
            assertEquals(503, refused.statusCode(), refused.body());
            assertTrue(refused.body().contains("out_of_memory"), refused.body());
            assertTrue(refused.headers().firstValue("retry-after").isPresent());
            for (Future<String> f : neighbours) assertTrue(f.get().length() > 0);
            assertEquals(alone, neighbours.getFirst().get());
            assertEquals(alone, text(http, server, 0));
        }
    }

    private static String text(HttpClient http, ServerProcess server, int i) throws IOException, InterruptedException {
        HttpRequest r = HttpRequest.newBuilder(server.uri.resolve(COMPLETIONS)).header("Content-Type", "application/json")
                .timeout(TestServer.LONGEST)
                .POST(HttpRequest.BodyPublishers.ofString(completion("neighbour " + i, 200, ""))).build();
        HttpResponse<String> reply = http.send(r, HttpResponse.BodyHandlers.ofString());
        assertEquals(200, reply.statusCode(), reply.body());
        return JsonMapper.shared().readTree(reply.body()).get("choices").get(0).get("text").asString();
    }

    /** Time-outs, limits and rates go by the clock that nobody sets: the wall clock is asked for dates only. */
    @Test
    void noTimeoutKnowsTheWallClock() throws IOException {
        Path sources = Checkout.root().resolve("engine-java/server/src/main/java");
        List<String> users = new ArrayList<>();
        try (Stream<Path> files = Files.walk(sources)) {
            for (Path f : files.filter(p -> p.toString().endsWith(".java")).toList()) {
                String text = Files.readString(f);
                assertTrue(!text.contains("currentTimeMillis") && !text.contains("new Date("), f.toString());
                if (text.contains("Instant.now()") || text.contains("LocalDateTime")) users.add(f.getFileName().toString());
            }
        }
        users.sort(Comparator.naturalOrder());
        assertEquals(List.of("LacunaServer.java", "TextRoute.java"), users, "both tell clients when something was made");
    }
}
