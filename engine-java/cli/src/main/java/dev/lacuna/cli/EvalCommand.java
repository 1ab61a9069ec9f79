package dev.lacuna.cli;

import dev.lacuna.Evaluation;
import dev.lacuna.Lacuna;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Measures how well a model predicts a text. */
@Command(name = "eval", description = "Measures the perplexity of a text: consecutive windows, each from an empty cache, all tokens but the first scored.", mixinStandardHelpOptions = true, sortOptions = false)
final class EvalCommand implements Callable<Integer> {
    private final Console console;

    @Parameters(paramLabel = "MODEL", description = "Name, source or path.")
    String model = "";

    @Option(names = "--text", paramLabel = "FILE", required = true, description = "UTF-8 text (-: standard input).")
    Path file = Path.of("");

    @Option(names = "--window", paramLabel = "N", defaultValue = "512", description = "Tokens of a window (default 512).")
    int window = 512;

    @Option(names = "--windows", paramLabel = "N", description = "The most windows (default: all whole ones).")
    int windows;

    @Option(names = "--decode", description = "Feed token by token, so that the decode path is measured.")
    boolean decode;

    @Mixin
    ModelOptions options = new ModelOptions();

    @Option(names = "--json", description = "Print one JSON object.")
    boolean json;

    EvalCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws Exception {
        if (window < 2) throw new Exit.UsageException("--window must be 2 or more, not " + window);
        if (windows < 0) throw new Exit.UsageException("--windows must not be negative");
        options.options(console);
        String text = console.text(file);
        try (Lacuna opened = options.open(console, model, window)) {
            if (window > opened.context())
                throw new Exit.UsageException("--window " + window + " is more than the context of " + opened.context());
            int[] ids = opened.tokenizer().encode(text, false);
            int whole = ids.length / window;
            if (whole == 0) throw new Exit.UsageException(file + " has " + ids.length + " tokens, less than one window of " + window);
            if (windows > whole) console.notice("the text has " + whole + " windows of " + window + ", not " + windows);
            Evaluation e = measure(opened, ids, "eval");
            print(opened, e, stored(ids), ids.length);
        }
        return Exit.OK;
    }

    private Evaluation measure(Lacuna opened, int[] ids, String what) {
        Meter meter = Meter.things(console, " windows");
        int whole = ids.length / window;
        meter.begin(what, windows == 0 ? whole : Math.min(windows, whole));
        try {
            return opened.evaluate(ids, window, windows, decode, _ -> meter.advance(1));
        } finally {
            meter.end();
        }
    }

    /** What the weights give as the file has them, by the same path; null where they are run so anyway. */
    private @Nullable Evaluation stored(int[] ids) {
        if (!options.reencodes()) return null;
        try (Lacuna original = options.openAsStored(console, model, window)) {
            return measure(original, ids, "eval, weights as stored");
        }
    }

    private void print(Lacuna opened, Evaluation e, @Nullable Evaluation stored, int textTokens) {
        if (!json) {
            console.out().printf(Locale.ROOT, "perplexity %.4f (%d windows of %d, %d tokens scored, %s tokens/s)%n", e.perplexity(),
                    e.nll().length,
                    e.window(), e.scored(), Size.number(e.tokensPerSecond()));
            if (stored == null) return;
            console.out().printf(Locale.ROOT, "perplexity %.4f with the weights as the file has them: %s is %+.2f %%%n",
                    stored.perplexity(),
                    opened.options().weights(), 100 * (e.perplexity() / stored.perplexity() - 1));
            return;
        }
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("model", model);
        all.put("perplexity", e.perplexity());
        all.put("nll", e.nll());
        if (stored != null) {
            all.put("storedPerplexity", stored.perplexity());
            all.put("storedNll", stored.nll());
        }
        all.put("window", e.window());
        all.put("windows", e.nll().length);
        all.put("tokens", e.scored());
        all.put("textTokens", textTokens);
        all.put("seconds", e.nanos() / 1e9);
        all.put("tokensPerSecond", e.tokensPerSecond());
        all.put("decode", decode);
        ModelOptions.describe(all, opened);
        Json.write(console.out(), all);
    }
}
