package dev.lacuna.server;

import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import dev.lacuna.generate.Sampling;
import dev.lacuna.ops.InputPolicy;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import org.HdrHistogram.ConcurrentHistogram;
import org.HdrHistogram.Histogram;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Load on a server: streams in a closed loop whose texts are compared with the same prompts run alone, or a trace replayed by its clock. Percentiles of
 * the trace count from the moment at which a request was due, so that a server that stalls does not hide who it kept waiting (coordinated omission);
 * those of the closed loop are corrected by HdrHistogram for the interval at which a stream would have asked again.
 *
 * <p>As a program: {@code LoadRun [--model FILE] [--url ADDRESS] [--streams 16] [--seconds 60] [--tokens 64] [--prompts 64] [--sessions 16] [--trace FILE
 * --rates 0.5,1 --requests 200]}. Without a model it is the tiny one; with an address the server is another process, whose texts are only compared with
 * each other.
 */
final class LoadRun {
    private static final JsonMapper JSON = JsonMapper.builder().build();
    private static final Duration LONGEST = Duration.ofMinutes(10);
    private static final int WINDOWS = 6; // of a run; the first and the last are compared

    private final URI uri;
    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(LONGEST).build();
    final Histogram firstToken = new ConcurrentHistogram(LONGEST.toNanos(), 3);
    final Histogram perToken = new ConcurrentHistogram(LONGEST.toNanos(), 3);
    final Histogram whole = new ConcurrentHistogram(LONGEST.toNanos(), 3);
    final Histogram live = new ConcurrentHistogram(LONGEST.toNanos(), 3);
    final LongAdder tokens = new LongAdder();
    final AtomicInteger completed = new AtomicInteger();
    final AtomicInteger refused = new AtomicInteger();
    final AtomicInteger different = new AtomicInteger();
    final ConcurrentLinkedQueue<String> problems = new ConcurrentLinkedQueue<>();

    LoadRun(URI uri) {
        this.uri = uri;
    }

    /** What one stream brought. */
    record Outcome(int status, String text, String finish, int pieces, long firstNanos, long nanos, boolean retryAfter) {}

    /** A greedy stream, followed to its end. */
    Outcome stream(String prompt, int most) throws IOException, InterruptedException {
        String body = TestServer.completion(prompt, most, "\"stream\":true");
        HttpRequest r = HttpRequest.newBuilder(uri.resolve(TestServer.COMPLETIONS)).header("Content-Type", "application/json")
                .timeout(LONGEST)
                .POST(HttpRequest.BodyPublishers.ofString(body)).build();
        long begun = System.nanoTime();
        HttpResponse<InputStream> reply = http.send(r, HttpResponse.BodyHandlers.ofInputStream());
        StringBuilder text = new StringBuilder();
        String finish = "none";
        int pieces = 0;
        long first = 0;
        boolean done = false;
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(reply.body(), StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                if (reply.statusCode() != 200) {
                    finish += line;
                    continue;
                }
                if (!line.startsWith("data: ")) continue;
                if (line.equals("data: [DONE]")) {
                    done = true;
                    continue;
                }
                JsonNode event = JSON.readTree(line.substring(6));
                if (event.has("error")) finish = event.get("error").get("code").asString();
                JsonNode choice = event.path("choices").path(0);
                String piece = choice.path("text").asString("");
                if (!piece.isEmpty()) {
                    if (pieces++ == 0) first = System.nanoTime() - begun;
                    text.append(piece);
                }
                if (choice.path("finish_reason").isString()) finish = choice.get("finish_reason").asString();
            }
        }
        long nanos = System.nanoTime() - begun;
        if (reply.statusCode() == 200 && !done) finish = "unfinished";
        return new Outcome(reply.statusCode(), text.toString(), finish, pieces, first, nanos,
                reply.headers().firstValue("retry-after").isPresent());
    }

    /** Prompts of different lengths, some with a beginning in common. */
    static List<String> prompts(int n) {
        List<String> all = new ArrayList<>();
        for (int i = 0; i < n; i++)
            all.add((i % 3 == 0 ? "Once upon a time there was a " : "") + "story number " + i + " ".repeat(i % 5) + "of "
                    + "many ".repeat(i % 40));
        return all;
    }

    /** How long answers are, so that streams do not march in step. */
    static int length(int prompt, int most) {
        return most / 2 + prompt * 7 % Math.max(1, most / 2);
    }

    /**
     * Streams in a closed loop.
     *
     * @param expected the text of each prompt alone; what is missing is taken from the first answer
     */
    void closedLoop(int streams, Duration time, List<String> prompts, int most, Map<Integer, String> expected) throws Exception {
        long begun = System.nanoTime();
        long end = begun + time.toNanos();
        LongAdder[] windows = new LongAdder[WINDOWS];
        for (int w = 0; w < WINDOWS; w++) windows[w] = new LongAdder();
        AtomicBoolean over = new AtomicBoolean();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<?> probe = threads.submit(() -> probe(over));
            List<Future<?>> all = new ArrayList<>();
            for (int c = 0; c < streams; c++) {
                int offset = c * 31;
                all.add(threads.submit(() -> {
                    for (int i = offset; System.nanoTime() < end; i++) {
                        int p = i % prompts.size();
                        Outcome o = stream(prompts.get(p), length(p, most));
                        note(o, p, expected);
                        long at = Math.min(System.nanoTime() - begun, time.toNanos() - 1);
                        windows[(int) (at * WINDOWS / time.toNanos())].add(o.pieces());
                    }
                    return null;
                }));
            }
            for (Future<?> f : all) f.get();
            over.set(true);
            probe.get();
        }
        System.out.printf(Locale.ROOT,
                "%d streams, %d s: %d completed, %d refused, %d different from their run alone, %.0f tokens/s; by window %s%n", streams,
                time.toSeconds(), completed.get(), refused.get(), different.get(), tokens.sum() * 1e9 / (System.nanoTime() - begun),
                List.of(windows));
        print("time to first token", firstToken.copyCorrectedForCoordinatedOmission(Math.max(1, (long) whole.getMean())));
        print("time per token", perToken);
        print("whole answer", whole.copyCorrectedForCoordinatedOmission(Math.max(1, (long) whole.getMean())));
        print("/health/live", live);
    }

    private void note(Outcome o, int prompt, Map<Integer, String> expected) {
        if (o.status() == 429 || o.status() == 503) {
            refused.incrementAndGet();
            if (!o.retryAfter()) problems.add("a refusal without Retry-After");
            LockSupport.parkNanos(5_000_000);
            return;
        }
        if (o.status() != 200 || !(o.finish().equals("length") || o.finish().equals("stop"))) {
            problems.add("status " + o.status() + ", ended with " + o.finish());
            return;
        }
        completed.incrementAndGet();
        tokens.add(o.pieces());
        firstToken.recordValue(Math.max(1, o.firstNanos()));
        whole.recordValue(o.nanos());
        if (o.pieces() > 1) perToken.recordValue(Math.max(1, (o.nanos() - o.firstNanos()) / (o.pieces() - 1)));
        String alone = expected.putIfAbsent(prompt, o.text());
        if (alone != null && !alone.equals(o.text())) different.incrementAndGet();
    }

    private Void probe(AtomicBoolean over) throws IOException, InterruptedException {
        while (!over.get()) {
            long begun = System.nanoTime();
            int status = http
                    .send(HttpRequest.newBuilder(uri.resolve("/health/live")).timeout(LONGEST).build(),
                            HttpResponse.BodyHandlers.discarding())
                    .statusCode();
            live.recordValue(System.nanoTime() - begun);
            if (status != 200) problems.add("/health/live answered " + status);
            Thread.sleep(20);
        }
        return null;
    }

    static void print(String what, Histogram h) {
        System.out.printf(Locale.ROOT, "  %-20s n %d, p50 %.2f ms, p90 %.2f, p99 %.2f, max %.2f%n", what, h.getTotalCount(),
                h.getValueAtPercentile(50) / 1e6,
                h.getValueAtPercentile(90) / 1e6, h.getValueAtPercentile(99) / 1e6, h.getMaxValue() / 1e6);
    }

    // ---- traces

    /** A request of a trace: nanoseconds after the first, tokens of its prompt and of its answer. */
    record Due(long at, int prompt, int output) {}

    /** The first requests of an Azure trace: {@code TIMESTAMP,ContextTokens,GeneratedTokens}. */
    static List<Due> trace(Path csv, int most, int context) throws IOException {
        List<Due> all = new ArrayList<>();
        LocalDateTime first = null;
        try (BufferedReader in = Files.newBufferedReader(csv)) {
            in.readLine();
            for (String line = in.readLine(); line != null && all.size() < most; line = in.readLine()) {
                String[] f = line.strip().split(",");
                LocalDateTime at = LocalDateTime.parse(f[0].replace(' ', 'T'));
                if (first == null) first = at;
                int output = Math.clamp(Long.parseLong(f[2]), 1, context / 2);
                int prompt = Math.clamp(Long.parseLong(f[1]), 1, context - output - 8);
                all.add(new Due(Duration.between(first, at).toNanos(), prompt, output));
            }
        }
        return all;
    }

    /**
     * Sends each request when it is due, whatever became of those before.
     *
     * @param stretch how much longer than in the trace the time between two of them is
     */
    void replay(List<Due> trace, double stretch) throws Exception {
        long begun = System.nanoTime() + 100_000_000;
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> all = new ArrayList<>();
            for (int i = 0; i < trace.size(); i++) {
                Due d = trace.get(i);
                String prompt = i + " " + "abcdefghij".repeat(1 + d.prompt() / 10);
                long due = begun + (long) (d.at() * stretch);
                all.add(threads.submit(() -> {
                    for (long left = due - System.nanoTime(); left > 0; left = due - System.nanoTime()) LockSupport.parkNanos(left);
                    long late = System.nanoTime() - due;
                    Outcome o = stream(prompt.substring(0, Math.min(prompt.length(), d.prompt())), d.output());
                    if (o.status() == 429 || o.status() == 503) {
                        refused.incrementAndGet();
                    } else if (o.status() == 200 && o.pieces() > 0) {
                        completed.incrementAndGet();
                        tokens.add(o.pieces());
                        firstToken.recordValue(late + o.firstNanos());
                        whole.recordValue(late + o.nanos());
                        if (o.pieces() > 1) perToken.recordValue(Math.max(1, (o.nanos() - o.firstNanos()) / (o.pieces() - 1)));
                    } else {
                        problems.add("status " + o.status() + ", ended with " + o.finish());
                    }
                    return null;
                }));
            }
            for (Future<?> f : all) f.get();
        }
        double seconds = (System.nanoTime() - begun) * 1e-9;
        System.out.printf(Locale.ROOT, "%d requests in %.1f s: %d completed, %d refused, %.0f tokens/s%n", trace.size(), seconds,
                completed.get(),
                refused.get(), tokens.sum() / seconds);
        print("time to first token", firstToken);
        print("time per token", perToken);
        print("whole answer", whole);
    }

    // ---- as a program

    public static void main(String[] args) throws Exception {
        Map<String, String> said = new HashMap<>();
        for (int i = 0; i + 1 < args.length; i += 2) said.put(args[i].replaceFirst("^--", ""), args[i + 1]);
        int streams = Integer.parseInt(said.getOrDefault("streams", "16"));
        Duration time = Duration.ofSeconds(Long.parseLong(said.getOrDefault("seconds", "60")));
        int most = Integer.parseInt(said.getOrDefault("tokens", "64"));
        List<String> prompts = prompts(Integer.parseInt(said.getOrDefault("prompts", "64")));
        if (said.containsKey("url")) {
            run(said, URI.create(said.get("url")), streams, time, prompts, most, new ConcurrentHashMap<>(),
                    Integer.parseInt(said.getOrDefault("context", "2048")));
            return;
        }
        int sessions = Integer.parseInt(said.getOrDefault("sessions", "16"));
        Options options = Options.DEFAULT.withContext(TestServer.CONTEXT).withSessions(sessions).withActivations(InputPolicy.F32);
        try (Lacuna model = said.containsKey("model") ? Lacuna.open(Path.of(said.get("model")), options) : TestServer.open(sessions);
                LacunaServer server = LacunaServer.start(model, ServerOptions.DEFAULT.withPort(0))) {
            idle(model, server, 1);
            idle(model, server, 16);
            Map<Integer, String> expected = alone(model, prompts, most);
            Duration share = Duration.ofSeconds(Math.clamp(time.toSeconds() / 2, 1, 60));
            System.out.printf(Locale.ROOT, "the engine alone, %d threads: %.0f tokens/s%n", streams,
                    direct(model, streams, share, prompts, most));
            run(said, server.uri(), streams, time, prompts, most, expected, model.context());
            ModelMetrics m = server.models().first().metrics;
            System.out.printf(Locale.ROOT, "the engine alone again: %.0f tokens/s%n", direct(model, streams, share, prompts, most));
            TestServer.await("nothing runs", () -> model.stats().running() == 0);
            System.out.println("accepted " + m.accepted + " = completed " + m.completed + " + cancelled " + m.cancelled + " + failed "
                    + m.failed + "; in use "
                    + model.stats().blocksInUse());
        }
    }

    private static void run(Map<String, String> said, URI uri, int streams, Duration time, List<String> prompts, int most,
            Map<Integer, String> expected,
            int context) throws Exception {
        LoadRun load = new LoadRun(uri);
        load.closedLoop(streams, time, prompts, most, expected);
        report(load);
        if (!said.containsKey("trace")) return;
        List<Due> trace = trace(Path.of(said.get("trace")), Integer.parseInt(said.getOrDefault("requests", "200")), context);
        // capacity: all at once
        LoadRun full = new LoadRun(uri);
        List<Due> sample = trace.subList(0, Math.min(trace.size(), 100));
        full.replay(sample.stream().map(d -> new Due(0, d.prompt(), d.output())).toList(), 1);
        report(full);
        double seconds = full.whole.getMaxValue() * 1e-9;
        double perSecond = full.completed.get() / seconds;
        double offered = trace.size() / (trace.getLast().at() * 1e-9);
        System.out.printf(Locale.ROOT, "capacity %.2f requests/s; the trace offers %.2f%n", perSecond, offered);
        for (String rate : said.getOrDefault("rates", "0.5,1").split(",")) {
            System.out.println("trace at " + rate + " of the capacity:");
            LoadRun one = new LoadRun(uri);
            one.replay(trace, offered / (perSecond * Double.parseDouble(rate)));
            report(one);
        }
    }

    /** Tokens a second of the engine alone, by as many threads and the same prompts. */
    private static double direct(Lacuna model, int streams, Duration time, List<String> prompts, int most) throws Exception {
        LongAdder made = new LongAdder();
        long begun = System.nanoTime();
        long end = begun + time.toNanos();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> all = new ArrayList<>();
            for (int c = 0; c < streams; c++) {
                int offset = c * 31;
                all.add(threads.submit(() -> {
                    for (int i = offset; System.nanoTime() < end; i++) {
                        int p = i % prompts.size();
                        made.add(
                                model.generate(prompts.get(p), Sampling.GREEDY.withMaxTokens(length(p, most))).result().outputIds().length);
                    }
                }));
            }
            for (Future<?> f : all) f.get();
        }
        return made.sum() * 1e9 / (System.nanoTime() - begun);
    }

    private static void report(LoadRun load) {
        if (!load.problems.isEmpty()) System.out.println("problems: " + load.problems.size() + ", e.g. " + load.problems.peek());
    }

    /** The texts of all prompts, one after the other. */
    static Map<Integer, String> alone(Lacuna model, List<String> prompts, int most) {
        Map<Integer, String> texts = new ConcurrentHashMap<>();
        for (int p = 0; p < prompts.size(); p++) {
            texts.put(p, model.generate(prompts.get(p), Sampling.GREEDY.withMaxTokens(length(p, most))).result().text());
        }
        return texts;
    }

    /** What the server adds to the time to first token when nothing else runs. */
    private static void idle(Lacuna model, LacunaServer server, int answer) throws Exception {
        LoadRun one = new LoadRun(server.uri());
        Histogram prefill = new Histogram(LONGEST.toNanos(), 3);
        Histogram added = new Histogram(LONGEST.toNanos(), 3);
        for (int i = 0; i < 60; i++) {
            String prompt = "A prompt that is like no other, number " + answer + " " + i * 7919 + ", of some length. ".repeat(4);
            double before = one.prefillSeconds();
            Outcome o = one.stream(prompt, answer);
            long engine = (long) ((one.prefillSeconds() - before) * 1e9);
            if (i < 20) continue; // compiled by then
            prefill.recordValue(Math.max(1, engine));
            added.recordValue(Math.max(1, o.firstNanos() - engine));
        }
        System.out.println("idle server, " + model.spec().name() + ", answers of " + answer + " tokens:");
        print("prefill", prefill);
        print("first token - prefill", added);
    }

    private double prefillSeconds() throws IOException, InterruptedException {
        String text = http.send(HttpRequest.newBuilder(uri.resolve("/metrics")).build(), HttpResponse.BodyHandlers.ofString()).body();
        return text.lines().filter(l -> l.startsWith("llamacpp:prompt_seconds_total{"))
                .mapToDouble(l -> Double.parseDouble(l.substring(l.lastIndexOf(' ') + 1)))
                .sum();
    }
}
