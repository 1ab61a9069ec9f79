package dev.lacuna.cli;

import dev.lacuna.Benchmark;
import dev.lacuna.Evaluation;
import dev.lacuna.Lacuna;
import dev.lacuna.cli.BenchRow.Ceilings;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Decision;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.MachineRates;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Times prompts and decoding on random tokens, and measures the machine's own rates beside them. */
@Command(name = "bench", description = "Times prompts (pp) and decoding (tg) on random tokens, as llama-bench does, beside what the machine's memory and arithmetic give.", mixinStandardHelpOptions = true, sortOptions = false)
final class BenchCommand implements Callable<Integer> {
    /** Warming up lasts until the compiler has had its time, or so many runs of a small model. */
    private static final long WARM = TimeUnit.SECONDS.toNanos(5);
    private static final int WARM_RUNS = 60;
    private static final int MOST_TOKENS = 1 << 24;
    private static final int MOST_SEQUENCES = 512;

    private final Console console;

    @Spec
    @SuppressWarnings("NullAway.Init") // picocli fills it
    private CommandSpec spec;

    @Parameters(paramLabel = "MODEL", arity = "0..*", description = "Names, sources or paths (default: " + Lacuna.DEFAULT_MODEL + ").")
    List<String> models = new ArrayList<>();

    @Option(names = {"-p",
            "--n-prompt"}, paramLabel = "N", split = ",", description = "Lengths of prompts, one or a list (default 512; 0: none).")
    List<Integer> prompts = new ArrayList<>();

    @Option(names = {"-n",
            "--n-gen"}, paramLabel = "N", split = ",", description = "Tokens to decode, one or a list (default 128; 0: none).")
    List<Integer> generated = new ArrayList<>();

    @Option(names = {"-d",
            "--n-depth"}, paramLabel = "N", split = ",", description = "Tokens in the cache before, one or a list (default 0).")
    List<Integer> depths = new ArrayList<>();

    @Option(names = {"-b",
            "--sequences"}, paramLabel = "N", split = ",", description = "Sequences decoded together, one or a list (default 1).")
    List<Integer> sequences = new ArrayList<>();

    @Option(names = "-t", paramLabel = "N", split = ",", description = "Threads, one or a list (default: --threads).")
    List<Integer> threads = new ArrayList<>();

    @Option(names = {"-ub",
            "--ubatch-size"}, paramLabel = "N", defaultValue = "512", description = "Most tokens of a prompt in one step (default 512).")
    int rows = 512;

    @Option(names = {"-r", "--repetitions"}, paramLabel = "N", defaultValue = "5", description = "Repetitions of each test (default 5).")
    int repetitions = 5;

    @Option(names = "--no-warmup", description = "Do not run each test before it is timed.")
    boolean cold;

    @Option(names = {"-o", "--output"}, paramLabel = "STYLE", defaultValue = "md", description = "md (default), csv, json or jsonl.")
    String style = "md";

    @Option(names = "--perplexity", paramLabel = "FILE", description = "Also measure the perplexity of this UTF-8 text by the path that is timed.")
    @Nullable
    Path text;

    @Option(names = "--window", paramLabel = "N", defaultValue = "512", description = "Tokens of a window of --perplexity (default 512).")
    int window = 512;

    @Option(names = "--windows", paramLabel = "N", description = "The most windows of --perplexity (default: all whole ones).")
    int windows;

    @Mixin
    ModelOptions options = new ModelOptions();

    BenchCommand(Console console) {
        this.console = console;
    }

    /** Perplexity with many rows a step and with one; null: no test needs it. */
    private record Quality(@Nullable Double prefill, @Nullable Double decode) {
        static final Quality UNKNOWN = new Quality(null, null);

        @Nullable
        Double of(BenchTest test) {
            return !test.prompt() && Benchmark.few(test.sequences()) ? decode : prefill;
        }
    }

    @Override
    public Integer call() throws Exception {
        BenchTable.Style printed = BenchTable.Style.of(style);
        List<BenchTest> tests = tests();
        requireWhole();
        options.options(console); // a bad option is told before a model is fetched
        String content = text == null ? null : console.text(text);
        if (models.isEmpty()) models = List.of(Lacuna.DEFAULT_MODEL);
        for (String model : models) ModelOptions.find(console, model);
        try (BenchTable table = new BenchTable(console.out(), printed, header())) {
            Thread hook = new Thread(table::close);
            Runtime.getRuntime().addShutdownHook(hook);
            try {
                for (String model : models) run(model, tests, content, table);
            } finally {
                unhook(hook);
            }
        }
        if (content == null) {
            console.notice("speed is easily bought with quality, which was not measured; the perplexity of this very path: ./lacuna bench "
                    + arguments() + " --perplexity FILE");
        }
        return Exit.OK;
    }

    private static void unhook(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            hook.setName("lacuna-bench"); // Ctrl-C: it runs already
        }
    }

    private String arguments() {
        List<String> all = spec.commandLine().getParseResult().originalArgs();
        return all.stream().skip(all.indexOf("bench") + 1).map(a -> a.contains(" ") ? "'" + a + "'" : a).collect(Collectors.joining(" "));
    }

    // ---- what is asked for

    private List<BenchTest> tests() {
        List<BenchTest> tests = new ArrayList<>();
        for (int depth : within("-d", depths, 0, 0, MOST_TOKENS)) {
            for (int p : within("-p", prompts, 512, 0, MOST_TOKENS)) {
                if (p > 0) tests.add(new BenchTest(true, p, depth, 1));
            }
            for (int n : within("-n", generated, 128, 0, MOST_TOKENS)) {
                for (int b : within("-b", sequences, 1, 1, MOST_SEQUENCES)) {
                    if (n > 0) tests.add(new BenchTest(false, n, depth, b));
                }
            }
        }
        if (tests.isEmpty()) throw new Exit.UsageException("there is nothing to time: -p and -n are 0");
        return tests;
    }

    private static List<Integer> within(String option, List<Integer> values, int otherwise, int least, int most) {
        for (int v : values) {
            if (v < least || v > most) throw new Exit.UsageException(option + " is " + least + " to " + most + ", not " + v);
        }
        return values.isEmpty() ? List.of(otherwise) : values;
    }

    private void requireWhole() {
        within("-r", List.of(repetitions), 1, 1, 10_000);
        within("-ub", List.of(rows), 1, 1, 1 << 16);
        within("-t", threads, 1, 1, 1024);
        if (!threads.isEmpty() && options.threads != 0) throw new Exit.UsageException("-t and --threads exclude each other");
        if (options.context != 0) throw new Exit.UsageException("--ctx is not for bench: -p, -n and -d say how many tokens there are");
        if (options.template != null || !options.variables.isEmpty()) {
            throw new Exit.UsageException("--template and --template-var are not for bench, which feeds random tokens");
        }
        if (text == null && windows != 0) throw new Exit.UsageException("--windows goes with --perplexity FILE");
        if (window < 2) throw new Exit.UsageException("--window must be 2 or more, not " + window);
        if (windows < 0) throw new Exit.UsageException("--windows must not be negative");
    }

    private static String header() {
        Map<String, Object> p = Machine.processor();
        return cpu(p) + ", " + p.get("processors") + " processors, " + p.get("system") + ", "
                + String.join(" ", ((List<?>) p.getOrDefault("isa", List.of())).stream().map(Object::toString).toList()) + "; Java "
                + Runtime.version() + "; " + new Main.Version().getVersion()[0].replaceAll(",.*", "");
    }

    private static String cpu(Map<String, Object> processor) {
        Object name = processor.getOrDefault("model", processor.get("arch"));
        return name + (processor.containsKey("family") ? " (family/model " + processor.get("family") + ")" : "");
    }

    // ---- a model

    private void run(String model, List<BenchTest> tests, @Nullable String content, BenchTable table) {
        int positions = tests.stream().mapToInt(BenchTest::positions).max().orElseThrow();
        int most = tests.stream().mapToInt(BenchTest::sequences).max().orElseThrow();
        Quality quality = null;
        for (int t : threads.isEmpty() ? List.of(options.threads) : threads) {
            options.threads = t;
            try (Lacuna opened = options.open(console, model, Math.max(2, content == null ? positions : Math.max(positions, window)))) {
                // threads change no result: once is enough
                if (quality == null) quality = content == null ? Quality.UNKNOWN : quality(opened, content, tests);
                try (MachineRates machine = rates(opened); Benchmark benchmark = opened.benchmark(Math.max(rows, most), most, positions)) {
                    Map<String, Object> how = how(model, opened, benchmark);
                    for (BenchTest test : tests) table.add(time(test, benchmark, machine, how, quality));
                }
            } finally {
                if (!threads.isEmpty()) options.threads = 0;
            }
        }
    }

    private Quality quality(Lacuna opened, String content, List<BenchTest> tests) {
        int[] ids = opened.tokenizer().encode(content, false);
        int whole = ids.length / window;
        if (whole == 0) throw new Exit.UsageException(text + " has " + ids.length + " tokens, less than one window of " + window);
        if (windows > whole) console.notice("the text has " + whole + " windows of " + window + ", not " + windows);
        boolean few = tests.stream().anyMatch(t -> !t.prompt() && Benchmark.few(t.sequences()));
        boolean many = tests.stream().anyMatch(t -> t.prompt() || !Benchmark.few(t.sequences()));
        return new Quality(many ? perplexity(opened, ids, false) : null, few ? perplexity(opened, ids, true) : null);
    }

    private double perplexity(Lacuna opened, int[] ids, boolean decode) {
        Meter meter = Meter.things(console, " windows");
        meter.begin(decode ? "perplexity, decoding" : "perplexity",
                windows == 0 ? ids.length / window : Math.min(windows, ids.length / window));
        try {
            Evaluation e = opened.evaluate(ids, window, windows, decode, _ -> meter.advance(1));
            return e.perplexity();
        } finally {
            meter.end();
        }
    }

    /** Null where the kernels cannot tell, or where there is no memory for it. */
    private @Nullable MachineRates rates(Lacuna opened) {
        if (Machine.memory().get("available") instanceof Long free && free < 2 * MachineRates.LARGE) {
            console.notice(
                    "the machine's rates are left out: " + Size.of(free) + " of memory are available, they take 1 GiB and leave another");
            return null;
        }
        return Backends.find().rates(opened.options().kernels());
    }

    private Map<String, Object> how(String model, Lacuna opened, Benchmark benchmark) {
        Map<String, Object> p = Machine.processor();
        Benchmark.Work work = benchmark.work();
        String weights = opened.options().weights() == null ? "" : " as " + opened.options().weights();
        Map<String, Object> how = new LinkedHashMap<>();
        how.put("cpu_info", cpu(p));
        how.put("processors", p.getOrDefault("processors", 0));
        how.put("java", Runtime.version().toString());
        how.put("model", model.substring(Math.max(model.lastIndexOf('/'), model.lastIndexOf('\\')) + 1) + weights);
        how.put("model_filename", opened.info().path().toString());
        how.put("model_size", work.bytes());
        how.put("model_n_params", work.parameters());
        how.put("kernels", kernels(opened));
        how.put("input_few", benchmark.inputs(1));
        how.put("input_many", benchmark.inputs(rows));
        KvType kv = opened.options().kv();
        String cache = kv == KvType.I8 ? "int8" : kv.name().toLowerCase(Locale.ROOT);
        how.put("type_k", cache);
        how.put("type_v", cache);
        how.put("n_threads", opened.options().kernels().threadsOrAll());
        how.put("n_ubatch", rows);
        return how;
    }

    /** What runs the products. */
    private static String kernels(Lacuna opened) {
        return opened.info().decisions().stream().filter(d -> d.op().equals("product")).map(Decision::kernel).distinct()
                .collect(Collectors.joining("; "));
    }

    private BenchRow time(BenchTest test, Benchmark benchmark, @Nullable MachineRates machine, Map<String, Object> how, Quality quality) {
        benchmark.fill(test.sequences(), test.depth());
        long begun = System.nanoTime();
        for (int i = 0; !cold && i < WARM_RUNS && (i == 0 || System.nanoTime() - begun < WARM); i++) test.run(benchmark);
        long buffer = Math.min(MachineRates.LARGE, benchmark.work().stepBytes());
        long[] nanos = new long[repetitions];
        double[] readModel = new double[repetitions];
        double[] readLarge = new double[repetitions];
        double[] int8 = new double[repetitions];
        for (int i = 0; i < repetitions; i++) {
            // beside each repetition, since other guests of a host change what there is from minute to minute
            if (machine != null) {
                readLarge[i] = machine.bytesPerSecond(MachineRates.LARGE);
                int8[i] = machine.int8PerSecond();
                readModel[i] = machine.bytesPerSecond(buffer);
            }
            nanos[i] = test.run(benchmark);
        }
        Ceilings ceilings = machine == null
                ? null
                : new Ceilings(BenchRow.median(readModel), BenchRow.median(readLarge), BenchRow.median(int8));
        return new BenchRow(how, test, nanos, test.bytes(benchmark), test.multiplies(benchmark), ceilings, quality.of(test));
    }
}
