package dev.lacuna.cli;

import dev.lacuna.Chat;
import dev.lacuna.Lacuna;
import dev.lacuna.generate.Sampling;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Callable;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;
import picocli.CommandLine.Command;

/** Walks through a chat, so that the launcher's cache of classes knows what one needs. Fetches nothing. */
@Command(name = "warm-up", hidden = true, description = "Walks through a chat without a user.")
final class WarmUpCommand implements Callable<Integer> {
    private static final int TOKENS = 24;

    private final Console console;

    WarmUpCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws Exception {
        if (console.store().get().cached(Lacuna.DEFAULT_MODEL).isEmpty()) return Exit.NO_MODEL;
        ModelOptions options = new ModelOptions();
        options.context = 512;
        var typed = new ByteArrayInputStream("Hi\n/stats\n/exit\n".getBytes(StandardCharsets.UTF_8));
        try (Lacuna model = options.open(console, Lacuna.DEFAULT_MODEL);
                Chat chat = model.chat().sampling(Sampling.GREEDY.withMaxTokens(TOKENS).withTemperature(0.6));
                Terminal terminal = TerminalBuilder.builder().system(false).streams(typed, new ByteArrayOutputStream()).type("dumb")
                        .build()) {
            return new Repl(console, model, chat, terminal, null).run();
        }
    }
}
