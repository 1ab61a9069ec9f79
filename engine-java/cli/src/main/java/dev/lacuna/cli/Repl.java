package dev.lacuna.cli;

import dev.lacuna.Chat;
import dev.lacuna.Lacuna;
import dev.lacuna.generate.ContextFullException;
import dev.lacuna.generate.FinishReason;
import dev.lacuna.generate.Generation;
import dev.lacuna.generate.Result;
import dev.lacuna.text.Message;
import dev.lacuna.text.ThinkingSplitter;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.jline.reader.EndOfFileException;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.reader.UserInterruptException;
import org.jline.reader.impl.DefaultParser;
import org.jline.terminal.Terminal;
import org.jline.terminal.Terminal.Signal;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;

/**
 * A conversation at a terminal. Ctrl-C stops the answer; at the prompt it clears the line, and leaves when pressed twice. Answers go to the terminal,
 * everything else to standard error.
 */
final class Repl {
    private static final String PROMPT = "> ";
    private static final String MORE = ". ";
    private static final String QUOTES = "\"\"\"";
    private static final String FULL = "the conversation fills the context: /clear starts anew; --overflow drop-oldest forgets the oldest turns by itself, "
            + "--ctx takes more";
    private static final String HELP = """
            /help             this
            /system [TEXT]    set the system message, or show it
            /clear            forget the conversation (the system message stays)
            /stats            speed of the last answer, use of the context
            /save FILE        write the conversation: JSON if the name ends with .json, else plain text
            /exit             leave (also Ctrl-D)
            \"""               begins and ends a message of several lines
            Ctrl-C            stops the answer; at the prompt clears the line, twice leaves""";

    private final Console console;
    private final Lacuna model;
    private final Chat chat;
    private final Terminal terminal;
    private final LineReader reader;
    private @Nullable String system;
    private @Nullable Result last;
    private volatile @Nullable Generation answering;

    /** @param history file that keeps what was typed; null: none */
    Repl(Console console, Lacuna model, Chat chat, Terminal terminal, @Nullable Path history) {
        this.console = console;
        this.model = model;
        this.chat = chat;
        this.terminal = terminal;
        // what is typed is prose: nothing in it is a quote, an escape or a history reference
        DefaultParser prose = new DefaultParser();
        prose.setQuoteChars(new char[0]);
        prose.setEscapeChars(new char[0]);
        LineReaderBuilder builder = LineReaderBuilder.builder().terminal(terminal).appName("lacuna").parser(prose)
                .option(LineReader.Option.DISABLE_EVENT_EXPANSION, true).option(LineReader.Option.HISTORY_TIMESTAMPED, false)
                .option(LineReader.Option.BRACKETED_PASTE, true);
        if (history != null) builder.variable(LineReader.HISTORY_FILE, history);
        reader = builder.build();
        chat.history().stream().filter(m -> m.role().equals(Message.SYSTEM)).forEach(m -> system = m.content());
    }

    /** What is typed so far at the prompt. */
    String typed() {
        return reader.getBuffer().toString();
    }

    int run() {
        terminal.handle(Signal.INT, _ -> {
            Generation g = answering;
            if (g != null) g.cancel();
        });
        console.notice("/help tells what can be said besides questions, Ctrl-D leaves");
        boolean interrupted = false;
        while (true) {
            String line;
            try {
                line = read();
            } catch (UserInterruptException e) {
                boolean empty = e.getPartialLine() == null || e.getPartialLine().isBlank();
                if (empty && interrupted) return Exit.OK;
                interrupted = empty;
                if (empty) console.notice("Ctrl-C again or Ctrl-D leaves");
                continue;
            } catch (EndOfFileException e) {
                return Exit.OK;
            }
            interrupted = false;
            if (line.isBlank()) continue;
            try {
                if (!line.startsWith("/")) {
                    say(line);
                } else if (!command(line.strip())) {
                    return Exit.OK;
                }
            } catch (ContextFullException e) {
                console.notice(FULL);
            } catch (RuntimeException e) {
                console.fail(e); // this turn failed, the conversation goes on
            }
        }
    }

    /** A line, or the lines between triple quotes. */
    private String read() {
        String line = reader.readLine(PROMPT);
        String begun = line.strip();
        if (!begun.startsWith(QUOTES)) return line;
        StringBuilder text = new StringBuilder();
        String rest = begun.substring(QUOTES.length());
        while (!rest.stripTrailing().endsWith(QUOTES)) {
            if (!rest.isEmpty() || text.length() > 0) text.append(rest).append('\n');
            rest = reader.readLine(MORE);
        }
        String end = rest.stripTrailing();
        return text.append(end, 0, end.length() - QUOTES.length()).toString().strip();
    }

    private void say(String text) {
        Generation generation = chat.send(text);
        answering = generation;
        PrintWriter out = terminal.writer();
        try {
            ThinkingSplitter splitter = chat.splitter();
            for (String piece : generation) {
                out.print(Answer.dimmed(splitter.add(piece)));
                out.flush();
            }
            out.print(Answer.dimmed(splitter.finish()));
        } finally {
            answering = null;
            out.println();
            out.flush();
        }
        Result result = generation.result();
        last = result;
        if (result.finishReason() == FinishReason.CANCELLED) console.notice("stopped");
        if (result.finishReason() == FinishReason.LENGTH)
            console.notice(result.contextFull() ? "cut: " + FULL : Answer.cut(result, model.context()));
    }

    /** @return whether to go on */
    private boolean command(String line) {
        int space = line.indexOf(' ');
        String name = (space < 0 ? line : line.substring(0, space)).toLowerCase(Locale.ROOT);
        String argument = space < 0 ? "" : line.substring(space + 1).strip();
        switch (name) {
            case "/help", "/?" -> console.err().println(HELP);
            case "/system" -> system(argument);
            case "/clear" -> {
                chat.clear();
                last = null;
                console.notice("the conversation is forgotten");
            }
            case "/stats" -> stats();
            case "/save" -> save(argument);
            case "/exit", "/quit", "/bye" -> {
                return false;
            }
            default -> console.notice("there is no " + name + "; /help tells what there is");
        }
        return true;
    }

    private void system(String text) {
        if (!text.isEmpty()) {
            system = text;
            chat.system(text);
        }
        console.notice("system message: " + (system == null ? "none" : system));
    }

    private void stats() {
        Result r = last;
        if (r == null) {
            console.notice("nothing was said yet");
        } else {
            console.notice(Answer.stats(r));
            int used = r.promptIds().length + r.outputIds().length;
            console.notice("context: " + used + " of " + model.context() + " tokens (" + 100L * used / model.context() + " %)");
        }
        console.notice("cache and operands: " + Size.of(model.bytes()));
    }

    private void save(String name) {
        if (name.isEmpty()) {
            console.notice("/save needs the name of a file");
            return;
        }
        List<Message> history = chat.history();
        try {
            Path file = Path.of(name);
            if (name.endsWith(".json")) {
                Files.writeString(file, JsonMapper.builder().build().writerWithDefaultPrettyPrinter().writeValueAsString(history) + "\n");
            } else {
                StringBuilder text = new StringBuilder();
                for (Message m : history) text.append(m.role()).append(":\n").append(m.content()).append("\n\n");
                Files.writeString(file, text);
            }
            console.notice("saved " + history.size() + " messages in " + file.toAbsolutePath());
        } catch (IOException | InvalidPathException e) {
            console.notice("cannot write " + name + ": " + e.getMessage());
        }
    }
}
