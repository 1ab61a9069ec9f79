package dev.lacuna.cli;

import dev.lacuna.Lacuna;
import dev.lacuna.generate.FinishReason;
import dev.lacuna.generate.Generation;
import dev.lacuna.generate.Result;
import dev.lacuna.generate.Sampling;
import dev.lacuna.text.Message;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Continues a prompt. */
@Command(name = "generate", description = "Continues a prompt.", mixinStandardHelpOptions = true, sortOptions = false)
final class GenerateCommand implements Callable<Integer> {
    /** The most tokens where nobody says how many; the end is then told. */
    static final int MAX_TOKENS = 256;

    private final Console console;

    @Parameters(paramLabel = "MODEL", description = "Name, source or path.")
    String model = "";

    @Option(names = "--prompt", paramLabel = "TEXT", description = "The prompt; without it and --prompt-file, standard input.")
    @Nullable
    String prompt;

    @Option(names = "--prompt-file", paramLabel = "FILE", description = "UTF-8, taken as it is (-: standard input).")
    @Nullable
    Path file;

    @Option(names = "--chat", description = "The prompt is a user's message: apply the chat template. Without it special tokens in the prompt are parsed.")
    boolean chat;

    @Mixin
    SamplingOptions sampling = new SamplingOptions();

    @Mixin
    ModelOptions options = new ModelOptions();

    @Option(names = "--json", description = "Print one JSON object instead of the text.")
    boolean json;

    GenerateCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws Exception {
        if (prompt != null && file != null) throw new Exit.UsageException("--prompt and --prompt-file exclude each other");
        Sampling chosen = sampling.over(Sampling.GREEDY.withMaxTokens(MAX_TOKENS));
        options.options(console); // a bad option is told before a model is fetched
        String text = prompt != null ? prompt : console.text(file != null ? file : Path.of("-"));
        long begun = System.nanoTime();
        try (Lacuna opened = options.open(console, model)) {
            long load = System.nanoTime() - begun;
            if (chat) ModelOptions.requireTemplate(opened);
            int[] ids = chat ? opened.encode(List.of(Message.user(text))) : opened.encode(text);
            if (ids.length == 0) throw new Exit.UsageException("the prompt is empty");
            Generation generation = opened.generate(ids, chosen);
            if (!json) Answer.stream(generation, console.out());
            Result result = generation.result();
            if (json) {
                Json.write(console.out(), json(opened, result, load));
            } else {
                console.notice(Answer.stats(result));
            }
            if (result.finishReason() == FinishReason.LENGTH) console.notice(Answer.cut(result, opened.context()));
        }
        return Exit.OK;
    }

    private Map<String, Object> json(Lacuna opened, Result r, long load) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("model", model);
        all.put("promptIds", r.promptIds());
        all.put("outputIds", r.outputIds());
        all.put("text", r.text());
        all.put("finishReason", r.finishReason().name().toLowerCase(Locale.ROOT));
        all.put("contextFull", r.contextFull());
        all.put("cachedTokens", r.cachedTokens());
        Map<String, Object> timings = new LinkedHashMap<>();
        timings.put("loadSeconds", load / 1e9);
        timings.put("queuedSeconds", r.timings().queued() / 1e9);
        timings.put("prefillSeconds", r.timings().prefill() / 1e9);
        timings.put("decodeSeconds", r.timings().decode() / 1e9);
        timings.put("firstTokenSeconds", (r.timings().queued() + r.timings().prefill()) / 1e9);
        all.put("timings", timings);
        all.put("promptTokensPerSecond", r.timings().promptPerSecond());
        all.put("tokensPerSecond", r.timings().outputPerSecond());
        ModelOptions.describe(all, opened);
        return all;
    }
}
