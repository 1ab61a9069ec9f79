package dev.lacuna.server;

import static dev.lacuna.server.TestServer.CHAT;
import static dev.lacuna.server.TestServer.COMPLETIONS;
import static dev.lacuna.server.TestServer.chat;
import static dev.lacuna.server.TestServer.completion;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.generate.Generation;
import dev.lacuna.generate.Sampling;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** Bounds of the queue (L5) and time-outs: who is refused is told so, and when to come back. */
class LimitsTest {

    /** Keeps an engine with room for one context busy until they are cancelled: more than can be done while a test runs. */
    private static List<Generation> block(TestServer s) throws InterruptedException {
        List<Generation> busy = new ArrayList<>();
        for (int i = 0; i < 500; i++) busy.add(s.model.generate("busy" + i, Sampling.GREEDY.withLogprobs(Sampling.MAX_LOGPROBS)));
        TestServer.await("it runs", () -> s.model.stats().running() == 1);
        return busy;
    }

    /** Requests of one full context each. */
    private static List<Future<TestServer.Reply>> occupy(TestServer s, ExecutorService threads, int n) {
        List<Future<TestServer.Reply>> all = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            String prompt = "busy" + i;
            all.add(threads.submit(() -> s.post(COMPLETIONS, completion(prompt, 100_000, ""))));
        }
        return all;
    }

    @Test
    void theQueueIsBoundedByRequests() throws Exception {
        try (TestServer s = TestServer.start(1, o -> o.withLimits(o.limits().withQueue(3, 1 << 18, Duration.ofSeconds(60))));
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Generation> busy = block(s);
            List<Future<TestServer.Reply>> all = occupy(s, threads, 3);
            TestServer.await("three wait", () -> s.server.admission().waiting() == 3);
            TestServer.Reply refused = s.post(CHAT, chat("hi", "\"max_tokens\":1"));
            assertEquals("queue_full", refused.error(429).get("code").asString());
            int retry = Integer.parseInt(refused.header("retry-after").orElseThrow());
            assertTrue(retry >= 1 && retry <= 60, "retry-after " + retry);
            s.post(CHAT, chat("hi", "\"max_tokens\":1,\"stream\":true")).error(429);
            assertEquals(3, s.server.admission().waiting());
            busy.forEach(Generation::cancel);
            for (Future<TestServer.Reply> f : all) assertEquals(200, f.get().status());
            assertEquals(2, s.metrics().refused.sum());
            s.assertSettled();
        }
    }

    @Test
    void theQueueIsBoundedByPromptTokens() throws Exception {
        try (TestServer s = TestServer.start(1, o -> o.withLimits(o.limits().withQueue(100, 500, Duration.ofSeconds(60))));
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Generation> busy = block(s);
            List<Future<TestServer.Reply>> all = new ArrayList<>();
            // more than the bound, but nobody else waits
            all.add(threads.submit(() -> s.post(COMPLETIONS, completion("a".repeat(900), 1, ""))));
            TestServer.await("it waits", () -> s.server.admission().waiting() == 1);
            s.post(COMPLETIONS, completion("b", 1, "")).error(429);
            busy.forEach(Generation::cancel);
            for (Future<TestServer.Reply> f : all) assertEquals(200, f.get().status());
            s.assertSettled();
        }
    }

    @Test
    void choicesCountOneByOne() throws Exception {
        try (TestServer s = TestServer.start(1, o -> o.withLimits(o.limits().withQueue(4, 1 << 18, Duration.ofSeconds(60))));
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Generation> busy = block(s);
            List<Future<TestServer.Reply>> all = occupy(s, threads, 1);
            TestServer.await("one waits", () -> s.server.admission().waiting() == 1);
            s.post(COMPLETIONS, completion("x", 1, "\"n\":4")).error(429);
            busy.forEach(Generation::cancel);
            for (Future<TestServer.Reply> f : all) assertEquals(200, f.get().status());
            s.assertSettled();
        }
    }

    @Test
    void whoGetsNoTurnInTimeIsToldSo() throws Exception {
        try (TestServer s = TestServer.start(1, o -> o.withLimits(o.limits().withQueue(100, 1 << 18, Duration.ofMillis(50))));
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            // who waits behind two full contexts waits longer than that
            List<Future<TestServer.Reply>> all = occupy(s, threads, 12);
            int late = 0;
            for (Future<TestServer.Reply> f : all) {
                if (f.get().status() == 200) continue;
                JsonNode e = f.get().error(503);
                assertEquals("queue_timeout", e.get("code").asString());
                assertTrue(f.get().header("retry-after").isPresent());
                late++;
            }
            assertTrue(late > 0, "none was late");
            s.assertSettled();
        }
    }

    @Test
    void aGenerationThatTakesTooLongEnds() throws Exception {
        try (TestServer s = TestServer.start(o -> o.withLimits(o.limits().withGenerationTimeout(Duration.ofMillis(250))))) {
            String fields = "\"temperature\":0,\"logprobs\":true,\"top_logprobs\":20,\"n\":8"; // slow, and to the end of the context
            assertEquals("generation_timeout", s.post(CHAT, chat("hi", fields)).error(504).get("code").asString());
            List<JsonNode> events = s.post(CHAT, chat("hi", fields + ",\"stream\":true")).events();
            assertEquals("generation_timeout", events.getLast().get("error").get("code").asString());
            s.assertSettled();
            assertEquals(2, s.metrics().failed.sum());
        }
    }

    @Test
    void manyMessagesAndLongStopsAreRefused() {
        try (TestServer s = TestServer.start()) {
            String message = "{\"role\":\"user\",\"content\":\"x\"}";
            s.post(CHAT, "{\"messages\":[" + (message + ",").repeat(1024) + message + "]}").error(400);
            s.post(CHAT, chat("hi", "\"stop\":[" + "\"a\",".repeat(16) + "\"a\"]")).error(400);
            s.post(CHAT, chat("hi", "\"stop\":\"" + "a".repeat(257) + "\"")).error(400);
            assertEquals(200, s.post(CHAT, chat("hi", "\"max_tokens\":1,\"stop\":\"" + "a".repeat(256) + "\"")).status());
        }
    }

    /** A long prompt is computed in chunks: answers that run go on between two of them. */
    @Test
    void aLongPromptDelaysOthersByNoMoreThanAChunk() throws Exception {
        try (TestServer s = TestServer.start(); ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            var running = s.model.generate("abc", Sampling.GREEDY);
            TestServer.await("it runs", running::started);
            // eight prompts of many chunks arrive: more than one step can take
            List<Future<TestServer.Reply>> all = new ArrayList<>();
            for (int i = 0; i < 6; i++) {
                String prompt = ((char) ('a' + i) + "z").repeat(900);
                all.add(threads.submit(() -> s.post(COMPLETIONS, completion(prompt, 1, ""))));
            }
            for (Future<TestServer.Reply> f : all) assertEquals(200, f.get().status(), f.get().body());
            // at least one of its tokens for each chunk of 256 rows of the 6 x 1800 tokens, or it has ended
            int tokens = 0;
            boolean done = running.done();
            while (running.poll() != null) tokens++;
            assertTrue(done || tokens >= 6 * 1800 / 256, tokens + " tokens meanwhile");
            running.cancel();
        }
    }

    @Test
    void limitsMakeSense() {
        ServerLimits l = ServerLimits.DEFAULT;
        assertThrows(IllegalArgumentException.class, () -> l.withQueue(0, 1, Duration.ofSeconds(1)));
        assertThrows(IllegalArgumentException.class, () -> l.withQueue(1, 0, Duration.ofSeconds(1)));
        assertThrows(IllegalArgumentException.class, () -> l.withDrainTimeout(Duration.ZERO));
        assertThrows(IllegalArgumentException.class, () -> l.withBytes(1, 1));
        assertThrows(IllegalArgumentException.class, () -> ServerOptions.DEFAULT.withPort(65536));
    }
}
