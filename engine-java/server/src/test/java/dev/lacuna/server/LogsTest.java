package dev.lacuna.server;

import static dev.lacuna.server.TestServer.CHAT;
import static dev.lacuna.server.TestServer.COMPLETIONS;
import static dev.lacuna.server.TestServer.chat;
import static dev.lacuna.server.TestServer.completion;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;
import org.junit.jupiter.api.Test;

/** What is logged holds no prompt, no answer, no key (S6). */
class LogsTest {
    private static final String CANARY = "canary7f3a";
    private static final String KEY = "key-canary-0123456789";

    /** Keeps all that is logged. */
    private static final class Keeper extends Handler {
        private final Formatter format = new SimpleFormatter();
        private final List<String> lines = Collections.synchronizedList(new ArrayList<>());

        @Override
        public void publish(LogRecord r) {
            StringWriter all = new StringWriter();
            all.append(r.getLevel() + " " + r.getLoggerName() + " " + format.formatMessage(r) + "\n");
            if (r.getThrown() != null) r.getThrown().printStackTrace(new PrintWriter(all, true));
            lines.add(all.toString());
        }

        @Override
        public void flush() {
            // kept in memory
        }

        @Override
        public void close() {
            lines.clear();
        }
    }

    @Test
    void logsAreSilentOnWhatIsSaid() throws Exception {
        Logger root = Logger.getLogger("");
        Logger ours = Logger.getLogger(LacunaServer.LOG);
        Keeper keeper = new Keeper();
        root.addHandler(keeper);
        ours.setLevel(Level.FINE); // even there
        String output;
        try (TestServer s = TestServer.start(o -> o.withKeys(List.of(KEY)))) {
            String[] key = {"Authorization", "Bearer " + KEY};
            output = s.post(COMPLETIONS, completion(CANARY, 30, ""), key).json().get("choices").get(0).get("text").asString();
            s.post(CHAT, chat(CANARY, "\"stream\":true,\"max_tokens\":3"), key).events();
            s.post(CHAT, chat(CANARY, "\"n\":77"), key).error(400);
            s.post(CHAT, chat(CANARY, "\"" + CANARY + "\":1,\"max_tokens\":1"), key);
            s.post(CHAT, "{\"" + CANARY, key).error(400);
            s.post(CHAT, chat(CANARY.repeat(1000), ""), key).error(400);
            s.post(CHAT, chat("x", "\"model\":\"" + CANARY + "\""), key).error(404);
            s.get("/" + CANARY, key).error(404);
            s.get("/v1/models", "Authorization", "Bearer " + KEY + CANARY).error(401);
            s.exchange((CANARY + " / HTTP/1.1\r\n" + CANARY + "\r\n\r\n").getBytes(StandardCharsets.US_ASCII), 2000);
            Thread.getAllStackTraces().keySet().stream().filter(t -> t.getName().equals("lacuna-engine")).forEach(Thread::interrupt);
            TestServer.await("the engine has failed", () -> s.model.failure() != null);
            s.post(CHAT, chat(CANARY, "\"max_tokens\":1"), key).error(503);
        } finally {
            root.removeHandler(keeper);
            ours.setLevel(null);
        }
        String all = String.join("", keeper.lines);
        assertTrue(all.contains("closing"), "something is logged: " + all);
        assertTrue(output.length() > 20);
        for (String secret : List.of(CANARY, KEY, output.substring(0, 12))) assertFalse(all.contains(secret), secret + " stands in " + all);
    }
}
