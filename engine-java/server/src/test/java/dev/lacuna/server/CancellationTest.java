package dev.lacuna.server;

import static dev.lacuna.server.TestServer.CHAT;
import static dev.lacuna.server.TestServer.COMPLETIONS;
import static dev.lacuna.server.TestServer.chat;
import static dev.lacuna.server.TestServer.completion;
import static dev.lacuna.server.TestServer.raw;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.InputStream;
import java.net.Socket;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** When the client goes, so does its work (F6). */
class CancellationTest {
    private static final int DISCONNECTS = 100;
    private static final long SEED = 20266;

    @ParameterizedTest
    @CsvSource({"false, false", "false, true", "true, false", "true, true"})
    void aClientThatLeavesIsNoticedAtOnce(boolean stream, boolean reset) throws Exception {
        try (TestServer s = TestServer.start()) {
            try (Socket socket = s.connect()) {
                socket.getOutputStream()
                        .write(raw(COMPLETIONS, completion("abc", 100_000, "\"n\":8,\"logprobs\":20,\"stream\":" + stream)));
                TestServer.await("it runs", () -> s.model.stats().running() == 8);
                if (reset) socket.setSoLinger(true, 0);
            }
            s.assertSettled();
            assertEquals(1, s.metrics().cancelled.sum(), "it was noticed long before the end");
            assertEquals(200, s.post(CHAT, chat("hi", "\"max_tokens\":1")).status());
        }
    }

    @Test
    void aClientThatLeavesTheQueueGivesItsPlaceBack() throws Exception {
        try (TestServer s = TestServer.start(1, o -> o)) {
            Socket first = s.connect();
            first.getOutputStream().write(raw(COMPLETIONS, completion("abc", 100_000, "\"logprobs\":20")));
            TestServer.await("it runs", () -> s.model.stats().running() == 1);
            List<Socket> waiting = new ArrayList<>();
            for (int i = 0; i < 10; i++) {
                Socket socket = s.connect();
                socket.getOutputStream().write(raw(COMPLETIONS, completion("x" + i, 100_000, i % 2 == 0 ? "\"stream\":true" : "")));
                waiting.add(socket);
            }
            for (Socket w : waiting) w.close();
            first.close();
            s.assertSettled();
            assertEquals(s.metrics().accepted.sum(), s.metrics().cancelled.sum() + s.metrics().completed.sum());
            assertTrue(s.metrics().cancelled.sum() > 0);
        }
    }

    /** Counts what asks for a person's attention. */
    private static final class Warnings extends Handler {
        private final List<String> all = Collections.synchronizedList(new ArrayList<>());

        @Override
        public void publish(LogRecord r) {
            if (r.getLevel().intValue() >= Level.WARNING.intValue()) all.add(r.getLoggerName() + ": " + r.getMessage());
        }

        @Override
        public void flush() {
            // kept in memory
        }

        @Override
        public void close() {
            all.clear();
        }
    }

    @Test
    void aHundredDisconnectsAtAnyMoment() throws Exception {
        Warnings warnings = new Warnings();
        Logger.getLogger("").addHandler(warnings);
        SplittableRandom random = new SplittableRandom(SEED);
        System.out.println("seed " + SEED);
        try (TestServer s = TestServer.start(2, o -> o)) {
            for (int i = 0; i < DISCONNECTS; i++) {
                boolean stream = random.nextBoolean();
                String prompt = "p".repeat(1 + random.nextInt(1500)) + i;
                byte[] request = raw(COMPLETIONS, completion(prompt, 1 + random.nextInt(400), "\"stream\":" + stream));
                int most = random.nextInt(4) == 0 ? random.nextInt(request.length) : request.length; // some leave in the middle of asking
                try (Socket socket = s.connect()) {
                    socket.getOutputStream().write(request, 0, most);
                    int bytes = random.nextInt(3000);
                    if (stream && most == request.length && random.nextBoolean()) {
                        InputStream in = socket.getInputStream();
                        in.readNBytes(Math.min(bytes, 600)); // answers are longer than that
                    } else {
                        TimeUnit.MICROSECONDS.sleep(random.nextInt(20_000));
                    }
                    if (random.nextBoolean()) socket.setSoLinger(true, 0);
                }
            }
            s.assertSettled();
            System.out.println(
                    s.metrics().accepted.sum() + " accepted, " + s.metrics().completed.sum() + " completed, " + s.metrics().cancelled.sum()
                            + " cancelled");
            assertEquals(0, s.metrics().failed.sum());
            assertTrue(s.metrics().cancelled.sum() > DISCONNECTS / 10, "most moments are before the end");
            assertEquals(200, s.post(CHAT, chat("hi", "\"max_tokens\":1")).status());
            TestServer.await("connections are closed", () -> s.metric("lacuna_connections") <= 3);
            assertEquals(List.of(), List.copyOf(warnings.all), "clients that leave are nothing to warn of");
        } finally {
            Logger.getLogger("").removeHandler(warnings);
        }
    }
}
