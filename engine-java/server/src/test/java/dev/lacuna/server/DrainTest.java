package dev.lacuna.server;

import static dev.lacuna.server.TestServer.COMPLETIONS;
import static dev.lacuna.server.TestServer.chat;
import static dev.lacuna.server.TestServer.completion;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.TinyModel;
import dev.lacuna.generate.Sampling;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Ending: what runs is answered, what is new is refused, nothing is left open (F7). */
class DrainTest {
    private static final int STREAMS = 32;

    @TempDir
    Path folder;

    @Test
    void whatRunsIsAnsweredAndWhatIsNewRefused() throws Exception {
        TestServer s = TestServer.start();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<TestServer.Reply> running = threads
                    .submit(() -> s.post(COMPLETIONS, completion("abc", 100_000, "\"logprobs\":20,\"n\":8")));
            TestServer.await("it runs", () -> s.model.stats().running() == 8);
            Future<?> closing = threads.submit(s.server::close);
            TestServer.await("it drains", () -> s.server.admission().draining());
            // both connections are open already, or are refused
            refused(() -> s.get("/health/ready"));
            refused(() -> s.post(TestServer.CHAT, chat("hi", "\"max_tokens\":1")));
            assertEquals(200, running.get().status(), running.get().body());
            closing.get(60, TimeUnit.SECONDS);
            s.server.close(); // again has no effect
            assertTrue(s.model.generate("abc", Sampling.GREEDY.withMaxTokens(1)).result().outputIds().length == 1,
                    "an embedded model is its owner's");
        } finally {
            s.close();
        }
    }

    private static void refused(Supplier<TestServer.Reply> request) {
        try {
            TestServer.Reply r = request.get();
            assertEquals("shutting_down", r.error(503).get("code").asString());
            assertTrue(r.header("retry-after").isPresent());
        } catch (UncheckedIOException e) {
            assertFalse(String.valueOf(e.getMessage()).contains("timed out"), "refused, not left hanging: " + e);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {30_000, 50, 30_000, 50, 300})
    void everyStreamEndsWhenTheProcessIsTold(int drainMillis) throws Exception {
        String model = TinyModel.write(folder.resolve("tiny.gguf"), TestServer.CONTEXT).toString();
        try (ServerProcess server = ServerProcess.start(List.of("-Xmx256m"), model, Integer.toString(drainMillis), "1000000");
                HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            CountDownLatch begun = new CountDownLatch(STREAMS);
            List<Future<String>> streams = new ArrayList<>();
            for (int i = 0; i < STREAMS; i++) {
                HttpRequest r = HttpRequest.newBuilder(server.uri.resolve(COMPLETIONS)).header("Content-Type", "application/json")
                        .timeout(TestServer.LONGEST)
                        .POST(HttpRequest.BodyPublishers
                                .ofString(completion("prompt " + i, drainMillis < 1000 ? 1500 : 300, "\"stream\":true,\"logprobs\":2")))
                        .build();
                streams.add(threads.submit(() -> {
                    begun.countDown();
                    return http.send(r, HttpResponse.BodyHandlers.ofString()).body();
                }));
            }
            assertTrue(begun.await(60, TimeUnit.SECONDS));
            awaitAdmitted(http, server);
            server.terminate();
            int whole = 0;
            int cut = 0;
            for (Future<String> f : streams) {
                String body = f.get(60, TimeUnit.SECONDS);
                boolean refused = body.startsWith("{\"error\"") && body.contains("shutting_down"); // still waited for its turn: a 503
                assertTrue(refused || body.endsWith("data: [DONE]\n\n"),
                        () -> "a stream ends with " + body.substring(Math.max(0, body.length() - 200)));
                if (body.contains("\"finish_reason\":\"length\"") || body.contains("\"finish_reason\":\"stop\"")) {
                    whole++;
                } else {
                    assertTrue(body.contains("shutting_down"), body.substring(Math.max(0, body.length() - 300)));
                    cut++;
                }
            }
            System.out.println("drain " + drainMillis + " ms: " + whole + " ended, " + cut + " were cut");
            if (drainMillis >= 30_000) assertEquals(0, cut);
            assertEquals(Optional.of(143), server.ended(TestServer.LONGEST), () -> server.output.toString());
        }
    }

    /** Waits until all streams were let in: what comes later is refused rightly. */
    private static void awaitAdmitted(HttpClient http, ServerProcess server) throws InterruptedException {
        TestServer.await("all are admitted", () -> {
            try {
                String text = http.send(HttpRequest.newBuilder(server.uri.resolve("/metrics")).timeout(TestServer.LONGEST).build(),
                        HttpResponse.BodyHandlers.ofString()).body();
                return text.contains("outcome=\"accepted\"} " + STREAMS + "\n");
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
    }
}
