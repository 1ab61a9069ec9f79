package dev.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import dev.lacuna.TinyModel;
import dev.lacuna.cli.Terminalless.Run;
import dev.lacuna.generate.Sampling;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.OpsProvider;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What `bench` prints: every style, every test, the arithmetic of a row; never how fast something was. */
class BenchCommandTest {
    private static final String TEXT = "the quick brown fox jumps over the lazy dog. ".repeat(6);

    @TempDir
    static Path folder;
    static String model;
    static Terminalless lacuna;

    @BeforeAll
    static void writeModel() {
        model = TinyModel.write(folder.resolve("tiny.gguf")).toString();
        lacuna = Terminalless.at(folder.resolve("home"));
    }

    private static Run bench(String... more) {
        List<String> args = new ArrayList<>(List.of("bench", model, "-p", "5,9", "-n", "4", "-r", "3", "--no-warmup"));
        args.addAll(List.of(more));
        Run run = lacuna.run(args.toArray(String[]::new));
        assertEquals(0, run.status(), run.err());
        return run;
    }

    private static List<JsonNode> rows(String... more) {
        List<String> args = new ArrayList<>(List.of(more));
        args.addAll(List.of("-o", "json"));
        List<JsonNode> rows = new ArrayList<>();
        bench(args.toArray(String[]::new)).json().forEach(rows::add);
        return rows;
    }

    private static List<String> names(List<JsonNode> rows) {
        return rows.stream().map(r -> r.get("test").asString() + " t" + r.get("n_threads").asInt()).toList();
    }

    @Test
    void everyTestOfTheListsIsRun() {
        List<JsonNode> rows = rows("-b", "1,3", "-d", "0,40", "-t", "1,2", "--kernels", "plain");
        List<String> expected = new ArrayList<>();
        for (int t : new int[]{1, 2}) {
            for (String d : new String[]{"", " @ d40"}) {
                for (String test : new String[]{"pp5", "pp9", "tg4", "tg4 x3"}) expected.add(test + d + " t" + t);
            }
        }
        assertEquals(expected, names(rows));
        for (JsonNode r : rows) {
            assertEquals(3, r.get("samples_ns").size(), "repetitions");
            assertEquals("plain", r.get("kernels").asString().split("[ ,]")[0]);
            assertTrue(r.get("share_of_int8").isNull() && r.get("share_of_read_model").isNull(), "only C kernels know the machine: " + r);
        }
    }

    /** Weights of the toy: Q8_0 has 34 bytes for 32 values; the table of tokens is looked up, not read. */
    @Test
    void aRowAddsUp() {
        long layer = 2L * 64 * 64 + 2L * 64 * 32 + 3L * 64 * 96;
        long output = 357L * 64;
        List<JsonNode> rows = rows("-b", "1,2", "-ub", "4", "--threads", "1");
        assertEquals(List.of("pp5 t1", "pp9 t1", "tg4 t1", "tg4 x2 t1"), names(rows));
        long[] tokens = {5, 9, 4, 8};
        long[] steps = {2, 3, 4, 4};
        long[] logits = {1, 1, 4, 8};
        for (int i = 0; i < tokens.length; i++) {
            JsonNode r = rows.get(i);
            assertEquals(2 * layer + 2 * output, r.get("model_n_params").asLong());
            assertEquals((2 * layer + output) / 32 * 34 + output * 4, r.get("model_size").asLong());
            double bytes = (double) steps[i] * ((2 * layer + output) / 32 * 34);
            assertEquals(bytes / tokens[i], r.get("bytes_per_token").asDouble(), 1e-9 * bytes);
            List<Double> nanos = new ArrayList<>();
            List<Double> rates = new ArrayList<>();
            r.get("samples_ns").forEach(n -> nanos.add(n.asDouble()));
            r.get("samples_ts").forEach(n -> rates.add(n.asDouble()));
            for (int s = 0; s < 3; s++) assertEquals(tokens[i] * 1e9 / nanos.get(s), rates.get(s), 1e-9 * rates.get(s));
            double median = nanos.stream().sorted().skip(1).findFirst().orElseThrow() / 1e9;
            assertEquals(bytes / median, r.get("bytes_per_second").asDouble(), 1e-9 * bytes / median);
            double operations = 2 * (2 * layer * tokens[i] + output * logits[i]) / median;
            assertEquals(operations, r.get("ops_per_second").asDouble(), 1e-9 * operations);
            assertEquals(rates.stream().mapToDouble(v -> v).average().orElseThrow(), r.get("avg_ts").asDouble(), 1e-6 * rates.getFirst());
        }
    }

    @Test
    void spreadIsThatOfASample() {
        double[] values = {4, 1, 7, 2};
        assertEquals(3, BenchRow.median(values));
        assertEquals(3.5, BenchRow.mean(values));
        assertEquals(Math.sqrt((0.25 + 6.25 + 12.25 + 2.25) / 3), BenchRow.deviation(values), 1e-12);
        assertEquals(0, BenchRow.deviation(new double[]{5}), "of one value nothing is known");
    }

    @Test
    void tableForPeople() {
        Run run = bench("--weights", "Q4_0", "--kv", "int8", "--kernels", "plain", "--threads", "1");
        List<String> lines = run.out().lines().toList();
        assertTrue(lines.getFirst().contains("Java " + Runtime.version().feature()), lines.getFirst());
        List<String> table = lines.stream().filter(l -> l.startsWith("|")).toList();
        assertEquals(2 + 3, table.size(), "head, rule, pp5, pp9, tg4");
        String[] head = table.getFirst().split("\\|");
        assertTrue(table.get(1).matches("(\\| --- )+\\|") || table.get(1).matches("\\|( --- \\|)+"), table.get(1));
        for (String line : table) assertEquals(head.length, line.split("\\|", -1).length - 1, line);
        assertTrue(table.get(2).contains("tiny.gguf as Q4_0") && table.get(2).contains("| int8 |") && table.get(2).contains("| I8/32 |"),
                table.get(2));
        assertTrue(table.get(4).contains("| tg4 |"), table.get(4));
        assertTrue(run.err().contains(model + " -p 5,9 -n 4 -r 3 --no-warmup --weights Q4_0"), "the line that shows quality: " + run.err());
    }

    @Test
    void commaSeparatedAndLines() {
        String[] lines = bench("-o", "csv", "-p", "0", "--threads", "1").out().split("\\R");
        assertEquals(4, lines.length, "-p is a list, one 0 of which is left out: " + String.join("\n", lines));
        String[] names = lines[0].split(",");
        for (int i = 1; i < lines.length; i++) {
            String[] cells = lines[i].substring(1, lines[i].length() - 1).split("\",\"", -1);
            assertEquals(names.length, cells.length, lines[i]);
        }
        List<JsonNode> json = bench("-o", "jsonl", "--threads", "1").out().lines().map(l -> JsonMapper.shared().readTree(l)).toList();
        assertEquals(List.of("pp5 t1", "pp9 t1", "tg4 t1"), names(json));
        assertEquals(List.of(names), List.copyOf(json.getFirst().propertyNames()), "one set of names");
    }

    /** The perplexity beside a speed is what `eval` says of the same way of running. */
    @Test
    void qualityStandsBesideSpeed() throws IOException {
        String file = Files.writeString(folder.resolve("text.txt"), TEXT).toString();
        String[] how = {"--kernels", "plain", "--weights", "Q4_0", "--kv", "int8", "--windows", "3", "--window", "32"};
        List<JsonNode> rows = rows(Stream.concat(Stream.of(how), Stream.of("--perplexity", file)).toArray(String[]::new));
        List<String> eval = new ArrayList<>(List.of("eval", model, "--text", file, "--json"));
        eval.addAll(List.of(how));
        double prefill = lacuna.run(eval.toArray(String[]::new)).json().get("perplexity").asDouble();
        eval.add("--decode");
        double decode = lacuna.run(eval.toArray(String[]::new)).json().get("perplexity").asDouble();
        assertEquals(List.of(prefill, prefill, decode), rows.stream().map(r -> r.get("perplexity").asDouble()).toList());
        List<JsonNode> others = rows("--kernels", "plain", "--windows", "3", "--window", "32", "--perplexity", file);
        assertFalse(others.getFirst().get("perplexity").asDouble() == prefill, "other weights, another perplexity");
    }

    @Test
    void cKernelsAreSetBesideTheMachine() {
        OpsProvider.Tier tier = Backends.find().tiers().stream().filter(t -> t.name().equals("native")).findFirst().orElseThrow();
        assumeTrue(tier.runnable(), () -> "no C kernels here: " + tier.why());
        for (JsonNode r : rows("--kernels", "native", "--isa", "avx2", "-t", "1")) {
            assertEquals("native, avx2", r.get("kernels").asString());
            double of = r.get("bytes_per_second").asDouble() / r.get("read_1gib_bytes_per_second").asDouble();
            assertEquals(of, r.get("share_of_read_1gib").asDouble(), 1e-9 * of);
            double multiplied = r.get("ops_per_second").asDouble() / r.get("int8_ops_per_second").asDouble();
            assertEquals(multiplied, r.get("share_of_int8").asDouble(), 1e-9 * multiplied);
            assertTrue(r.get("read_model_bytes_per_second").asDouble() > 0, r.toString());
        }
    }

    @Test
    void whatWasPrintedIsWholeWhenInterrupted() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BenchTable table = new BenchTable(new PrintStream(bytes, true, StandardCharsets.UTF_8), BenchTable.Style.JSON, "");
        table.add(new BenchRow(Map.of("model", "m"), new BenchTest(true, 8, 0, 1), new long[]{5}, 1, 1, null, null));
        table.close();
        table.add(new BenchRow(Map.of("model", "late"), new BenchTest(true, 8, 0, 1), new long[]{5}, 1, 1, null, null));
        JsonNode json = JsonMapper.shared().readTree(bytes.toString(StandardCharsets.UTF_8));
        assertEquals(1, json.size(), "nothing after the end");
    }

    static List<Arguments> refused() {
        return List.of(refusal("nothing to time", "-p", "0", "-n", "0"), refusal("-p is 0 to", "-p", "-3"),
                refusal("-b is 1 to", "-b", "0"),
                refusal("-r is 1 to", "-r", "0"), refusal("-t is 1 to 1024, not 0", "-t", "0"), refusal("'x'", "-n", "x"),
                refusal("-o is md, csv, json or jsonl, not sql", "-o", "sql"), refusal("exclude each other", "-t", "1", "--threads", "2"),
                refusal("--ctx is not for bench", "--ctx", "64"), refusal("--template", "--template", "chatml"),
                refusal("--windows goes with", "--windows", "2"),
                refusal("does not exist", "--perplexity", folder.resolve("no").toString()),
                refusal("--kv is", "--kv", "f8"));
    }

    private static Arguments refusal(String part, String... args) {
        return Arguments.of(part, args);
    }

    @ParameterizedTest
    @MethodSource("refused")
    void whatCannotBeMeantIsRefused(String part, String[] args) {
        List<String> all = new ArrayList<>(List.of("bench", model));
        all.addAll(List.of(args));
        Run run = lacuna.run(all.toArray(String[]::new));
        assertEquals(Exit.USAGE, run.status(), run.err());
        assertTrue(run.err().contains(part), run.err());
        assertEquals("", run.out());
    }

    @Test
    void anotherModelThatIsNotThereIsToldFirst() {
        Run run = lacuna.run("bench", model, folder.resolve("none.gguf").toString(), "-p", "4", "-n", "0");
        assertEquals(Exit.NO_MODEL, run.status());
        assertEquals("", run.out());
    }

    @Test
    void cachesThatDoNotFitAreToldBeforeTheyAreMade() {
        Run run = lacuna.run("bench", model, "-p", "0", "-n", "1000000", "-b", "512");
        assertEquals(Exit.DOES_NOT_FIT, run.status(), run.err());
        assertTrue(run.err().contains("512 sequences of 1000000 tokens"), run.err());
    }

    /** Steps on random tokens leave what a session remembers alone. */
    @Test
    void sessionsAreNotTouched() {
        Options options = Options.DEFAULT.withContext(64).withKernels(new OpsOptions(1, "plain", true));
        try (Lacuna opened = Lacuna.open(Path.of(model), options)) {
            int[] ids = opened.encode("abc");
            var before = opened.generate(ids, Sampling.GREEDY.withMaxTokens(8)).result();
            try (var benchmark = opened.benchmark(8, 2, 40)) {
                benchmark.fill(2, 20);
                assertTrue(benchmark.prompt(20, 20) > 0);
                assertTrue(benchmark.decode(2, 20, 4) > 0);
                assertEquals(3, benchmark.steps(20));
            }
            var after = opened.generate(ids, Sampling.GREEDY.withMaxTokens(8)).result();
            assertEquals(before.text(), after.text());
            assertTrue(after.cachedTokens() > 0, "the prefix is still known");
        }
    }
}
