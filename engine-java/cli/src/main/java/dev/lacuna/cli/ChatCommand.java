package dev.lacuna.cli;

import dev.lacuna.Chat;
import dev.lacuna.Lacuna;
import dev.lacuna.generate.FinishReason;
import dev.lacuna.generate.Generation;
import dev.lacuna.generate.Result;
import dev.lacuna.generate.Sampling;
import dev.lacuna.hub.ModelStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Talks with a model: once, when there is a question, else for as long as the user likes. */
@Command(name = "chat", description = "Talks with a model; with a question, or one on standard input, answers once.", mixinStandardHelpOptions = true, sortOptions = false)
final class ChatCommand implements Callable<Integer> {
    private static final Pattern SOURCE = Pattern.compile("(hf|pypi|maven|https?):\\S+");
    private static final Pattern FILE = Pattern.compile("(~|\\.{0,2})/\\S+|\\S+\\.gguf");

    private final Console console;

    @Parameters(arity = "0..2", paramLabel = "[MODEL] [QUESTION]", description = "A model (name, source or path; default "
            + Lacuna.DEFAULT_MODEL + ") and a question in quotes. One word that is no model is a question.")
    List<String> words = new ArrayList<>();

    @Option(names = "--model", paramLabel = "MODEL", description = "The model, where it could be taken for a question.")
    @Nullable
    String model;

    @Option(names = "--system", paramLabel = "TEXT", description = "System message of the conversation.")
    @Nullable
    String system;

    @Option(names = "--overflow", paramLabel = "WAY", defaultValue = "refuse", description = "When the conversation fills the context: refuse (default), or drop-oldest to forget the oldest turns.")
    String overflow = "refuse";

    @Mixin
    SamplingOptions sampling = new SamplingOptions();

    @Mixin
    ModelOptions options = new ModelOptions();

    ChatCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws Exception {
        Chat.Overflow whenFull = switch (overflow) {
            case "refuse" -> Chat.Overflow.REFUSE;
            case "drop-oldest" -> Chat.Overflow.DROP_OLDEST;
            default -> throw new Exit.UsageException("--overflow is refuse or drop-oldest, not " + overflow);
        };
        options.options(console);
        Request request = request();
        boolean repl = request.question == null && console.inIsTerminal() && console.outIsTerminal();
        String question = request.question;
        if (question == null && !repl) {
            question = console.input().strip();
            if (question.isEmpty()) throw new Exit.UsageException("standard input has no question");
        }
        if (request.model == null) announce();
        try (Lacuna opened = options.open(console, request.model == null ? Lacuna.DEFAULT_MODEL : request.model);
                Chat chat = opened.chat(system)) {
            ModelOptions.requireTemplate(opened);
            chat.overflow(whenFull);
            // another answer each time, unless a seed is asked for
            Sampling usual = chat.sampling().withSeed(System.nanoTime());
            chat.sampling(sampling.over(usual));
            return question == null ? talk(opened, chat) : answer(opened, chat, question);
        }
    }

    /** What the words mean; null: the default model, no question. */
    private record Request(@Nullable String model, @Nullable String question) {}

    private Request request() {
        if (words.size() > 2) throw new Exit.UsageException("a model and a question are enough; put the question in quotes");
        String first = words.isEmpty() ? null : words.getFirst();
        if (model != null) {
            if (words.size() == 2) throw new Exit.UsageException("--model and two more words: put the question in quotes");
            return new Request(model, first);
        }
        if (first == null) return new Request(null, null);
        if (words.size() == 2) return new Request(first, words.getLast());
        return isModel(first) ? new Request(first, null) : new Request(null, first);
    }

    /** Whether a word means a model: a name, a source, a path that exists or looks like one. */
    private boolean isModel(String word) {
        if (SOURCE.matcher(word).matches() || FILE.matcher(word).matches()) return true;
        ModelStore store = console.store().get();
        if (store.catalogue().lookUp(word).isPresent() || store.list().stream().anyMatch(c -> c.name().equals(word))) return true;
        try {
            Path path = Path.of(word);
            return !word.isBlank() && (Files.isRegularFile(path) || Files.isRegularFile(path.resolve("config.json")));
        } catch (InvalidPathException e) {
            return false;
        }
    }

    private void announce() {
        console.notice(Lacuna.DEFAULT_MODEL + " is a demonstration: small, quick, often wrong. A better model, once fetched (2 GB):");
        console.notice("  ./lacuna pull llama-3.2-3b-instruct && ./lacuna chat llama-3.2-3b-instruct     (all names: ./lacuna list)");
    }

    private int answer(Lacuna opened, Chat chat, String question) {
        Generation generation = chat.send(question);
        Answer.stream(generation, chat.splitter(), console.out(), console.err());
        Result result = generation.result();
        if (result.finishReason() == FinishReason.LENGTH) console.notice(Answer.cut(result, opened.context()));
        return Exit.OK;
    }

    private int talk(Lacuna opened, Chat chat) throws IOException {
        try (Terminal terminal = TerminalBuilder.builder().name("lacuna").build()) {
            return new Repl(console, opened, chat, terminal, console.store().get().home().resolve("history")).run();
        }
    }
}
