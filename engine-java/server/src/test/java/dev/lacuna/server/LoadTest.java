package dev.lacuna.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Load held (L1 to L6), in its short form; {@link LoadRun} has the long one. */
class LoadTest {
    private static final Duration TIME = Duration.ofSeconds(Long.getLong("lacuna.load.seconds", 15));
    private static final int STREAMS = 16;
    private static final int TOKENS = 64;

    @Test
    void everyStreamReadsAsItDoesAlone() throws Exception {
        try (TestServer s = TestServer.start(16, o -> o)) {
            List<String> prompts = LoadRun.prompts(48);
            Map<Integer, String> alone = LoadRun.alone(s.model, prompts, TOKENS);
            LoadRun load = new LoadRun(s.server.uri());
            load.closedLoop(STREAMS, TIME, prompts, TOKENS, alone);
            assertEquals(List.of(), List.copyOf(load.problems));
            assertEquals(0, load.refused.get());
            assertEquals(0, load.different.get(), "streams that differ from their run alone");
            assertTrue(load.completed.get() >= STREAMS, "completed " + load.completed);
            assertTrue(load.live.getTotalCount() > 0);
            s.assertSettled();
            assertEquals(load.completed.get(), s.metrics().completed.sum());
            assertEquals(0, s.metrics().cancelled.sum() + s.metrics().failed.sum());
        }
    }

    @Test
    void overloadIsRefusedWithinBounds() throws Exception {
        int waiting = 8;
        try (TestServer s = TestServer.start(2, o -> o.withLimits(o.limits().withQueue(waiting, 1 << 18, Duration.ofSeconds(30))))) {
            List<String> prompts = LoadRun.prompts(48);
            Map<Integer, String> alone = LoadRun.alone(s.model, prompts, TOKENS);
            LoadRun load = new LoadRun(s.server.uri());
            load.closedLoop(10 * (waiting + STREAMS), Duration.ofSeconds(5), prompts, TOKENS, alone); // ten times as many as there is room for
            assertEquals(List.of(), List.copyOf(load.problems), "every refusal is a 429 or 503 with Retry-After");
            assertTrue(load.refused.get() > 0, "none was refused");
            assertTrue(load.completed.get() > 0, "none was served");
            assertEquals(0, load.different.get());
            s.assertSettled();
            assertEquals(load.refused.get(), s.metrics().refused.sum());
        }
    }
}
