package dev.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Chat;
import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import dev.lacuna.TinyModel;
import dev.lacuna.generate.Sampling;
import dev.lacuna.hub.ModelStore;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PipedInputStream;
import java.io.PipedOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;
import org.jline.terminal.Terminal;
import org.jline.terminal.Terminal.Signal;
import org.jline.terminal.TerminalBuilder;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The conversation at a terminal, on a dumb one over pipes. */
class ReplTest {
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(30);

    @TempDir
    Path folder;
    private final Watched out = new Watched();
    private final Watched err = new Watched();
    private final PipedOutputStream keyboard = new PipedOutputStream();
    private Lacuna model;
    private Chat chat;
    private Terminal terminal;
    private Repl conversation;
    private FutureTask<Integer> repl;

    /** Output that can be waited for. */
    private static final class Watched extends OutputStream {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

        @Override
        public synchronized void write(int b) {
            bytes.write(b);
            notifyAll();
        }

        synchronized String text() {
            return bytes.toString(StandardCharsets.UTF_8);
        }

        synchronized void await(Predicate<String> seen) throws InterruptedException {
            long end = System.nanoTime() + PATIENCE;
            while (!seen.test(text())) {
                long left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
                if (left <= 0) throw new AssertionError("waited in vain; there is: " + text());
                wait(left);
            }
        }
    }

    @BeforeEach
    void start() throws IOException {
        model = Lacuna.open(TinyModel.write(folder.resolve("tiny.gguf")), Options.DEFAULT.withContext(TinyModel.CONTEXT));
        chat = model.chat().sampling(Sampling.GREEDY.withMaxTokens(6));
        InputStream typed = new PipedInputStream(keyboard, 1 << 16);
        terminal = TerminalBuilder.builder().system(false).streams(typed, out).encoding(StandardCharsets.UTF_8).type("dumb").build();
        Console console = new Console(InputStream.nullInputStream(), new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8), "012", Map.of(), () -> ModelStore.at(folder, Map.of()));
        conversation = new Repl(console, model, chat, terminal, folder.resolve("history"));
        repl = new FutureTask<>(conversation::run);
        Thread.ofPlatform().daemon().start(repl);
    }

    @AfterEach
    void stop() throws Exception {
        keyboard.close();
        repl.get(30, TimeUnit.SECONDS);
        terminal.close();
        model.close();
    }

    private void type(String text) throws IOException {
        keyboard.write(text.getBytes(StandardCharsets.UTF_8));
        keyboard.flush();
    }

    private int leave() throws Exception {
        type("/exit\n");
        return repl.get(30, TimeUnit.SECONDS);
    }

    private static int count(String text, String part) {
        return text.split(java.util.regex.Pattern.quote(part), -1).length - 1;
    }

    @Test
    void answersAndKeepsTheConversation() throws Exception {
        type("Hi\n");
        err.await(t -> count(t, "cut after 6 tokens") == 1);
        type("Again\n");
        err.await(t -> count(t, "cut after 6 tokens") == 2);
        type("/stats\n");
        err.await(t -> t.contains("context: "));
        assertEquals(0, leave());
        assertEquals(4, chat.history().size());
        assertTrue(out.text().contains(chat.history().get(1).content()), "the answer is on the terminal");
        assertFalse(err.text().contains(chat.history().get(1).content()), "and only there");
        assertTrue(err.text().matches("(?s).*prompt \\d+ tokens \\([1-9]\\d* cached\\).*"),
                "the first turn was found in the cache: " + err.text());
        assertTrue(err.text().contains(" of " + TinyModel.CONTEXT + " tokens"), err.text());
        assertTrue(Files.readString(folder.resolve("history")).contains("Again"), "history file");
    }

    @Test
    void commands() throws Exception {
        type("/help\n/nonsense\n/stats\n/system Be brief.\nHi\n");
        err.await(t -> t.contains("cut after 6 tokens"));
        assertTrue(err.text().contains("Ctrl-C"), err.text());
        assertTrue(err.text().contains("there is no /nonsense"), err.text());
        assertTrue(err.text().contains("nothing was said yet"), err.text());
        Path plain = folder.resolve("talk of today.txt");
        Path json = folder.resolve("talk.json");
        type("/save " + plain + "\n/save " + json + "\n/save\n/save " + folder + "\n/clear\n/system\n");
        err.await(t -> t.contains("forgotten") && count(t, "system message: Be brief.") == 2);
        assertTrue(err.text().contains("/save needs the name"), err.text());
        assertTrue(err.text().contains("cannot write " + folder), err.text());
        assertEquals(0, leave());
        assertTrue(Files.readString(plain).startsWith("system:\nBe brief.\n\nuser:\nHi\n\nassistant:\n"));
        assertTrue(Files.readString(json).contains("\"role\" : \"user\""), Files.readString(json));
        assertEquals(1, chat.history().size(), "only the system message is left");
    }

    @Test
    void quotesHoldSeveralLines() throws Exception {
        type("\"\"\"first\n\n  second \\ 'third\n\"\"\"\n");
        err.await(t -> t.contains("cut after"));
        assertEquals(0, leave());
        assertEquals("first\n\n  second \\ 'third", chat.history().getFirst().content());
    }

    @Test
    void interruptStopsTheAnswerAndNotTheProgram() throws Exception {
        // the model talks on until the context is full, which takes a while
        chat.sampling(Sampling.GREEDY.withMaxTokens(0));
        out.await(t -> t.contains("> "));
        int before = out.text().length();
        FutureTask<Void> interrupt = new FutureTask<>(() -> {
            out.await(t -> t.length() > before + "Hi\n> ".length() + 4);
            terminal.raise(Signal.INT);
            return null;
        });
        Thread.ofPlatform().daemon().start(interrupt);
        type("Hi\n");
        err.await(t -> t.contains("stopped") || t.contains("cut"));
        interrupt.get(30, TimeUnit.SECONDS);
        assertTrue(err.text().contains("stopped"), err.text());
        type("/stats\n");
        err.await(t -> t.contains("context: "));
        assertEquals(0, leave());
    }

    @Test
    void interruptAtThePromptClearsTheLineAndTwiceLeaves() throws Exception {
        out.await(t -> t.contains("> "));
        type("half a quest");
        until(() -> conversation.typed().equals("half a quest"), () -> {});
        until(() -> conversation.typed().isEmpty(), () -> terminal.raise(Signal.INT));
        until(() -> err.text().contains("Ctrl-C again"), () -> terminal.raise(Signal.INT));
        until(repl::isDone, () -> terminal.raise(Signal.INT));
        assertEquals(0, repl.get());
        assertEquals(0, chat.history().size());
    }

    /** Does something, again every two seconds (the line reader may not have been ready), until it shows. */
    private static void until(BooleanSupplier shows, Runnable action) throws InterruptedException {
        for (int attempt = 0; attempt < 10; attempt++) {
            action.run();
            for (int i = 0; i < 100 && !shows.getAsBoolean(); i++) Thread.sleep(20);
            if (shows.getAsBoolean()) return;
        }
        throw new AssertionError("waited in vain");
    }

    @Test
    void aFullContextOffersClear() throws Exception {
        type("a".repeat(2 * TinyModel.CONTEXT) + "\n");
        err.await(t -> t.contains("/clear starts anew; --overflow drop-oldest"));
        type("Hi\n");
        err.await(t -> t.contains("cut after 6 tokens"));
        assertEquals(0, leave());
        assertEquals(2, chat.history().size(), "the turn that did not fit is forgotten");
    }

    @Test
    void endOfInputLeaves() throws Exception {
        keyboard.close();
        assertEquals(0, repl.get(30, TimeUnit.SECONDS));
    }
}
