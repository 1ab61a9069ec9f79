package dev.lacuna.cli;

import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import dev.lacuna.server.LacunaServer;
import dev.lacuna.server.ServedModel;
import dev.lacuna.server.ServerLimits;
import dev.lacuna.server.ServerOptions;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Serves models over HTTP until it is told to end. */
@Command(name = "serve", description = "Serves models by OpenAI's interface, and a page to chat on.", mixinStandardHelpOptions = true, sortOptions = false, footer = {
        "",
        "Keys come from --api-key, --api-key-file and the environment variable LACUNA_API_KEY. SIGTERM ends it when its answers are given."})
final class ServeCommand implements Callable<Integer> {
    private static final int SESSIONS = 4;

    private final Console console;

    @Parameters(paramLabel = "MODEL", arity = "0..1", description = "Name, source or path (default: " + Lacuna.DEFAULT_MODEL + ").")
    @Nullable
    String model;

    @Option(names = "--model", paramLabel = "[NAME=]MODEL", description = "Another model, loaded at its first use; may be given several times.")
    List<String> more = new ArrayList<>();

    @Option(names = "--host", paramLabel = "NAME", defaultValue = "127.0.0.1", description = "Where to listen (default: 127.0.0.1).")
    String host = "127.0.0.1";

    @Option(names = "--port", paramLabel = "N", defaultValue = "8080", description = "Port (default: 8080; 0: any free one).")
    int port = 8080;

    @Option(names = "--api-key", paramLabel = "KEY", description = "A key that clients must know; may be given several times. Other users of the machine can read it: prefer a file.")
    List<String> keys = new ArrayList<>();

    @Option(names = "--api-key-file", paramLabel = "FILE", description = "Keys, one a line.")
    @Nullable
    Path keyFile;

    @Option(names = "--insecure", description = "Let everyone who can reach a host outside loopback use it without a key.")
    boolean insecure;

    @Option(names = "--cors", paramLabel = "ORIGIN", split = ",", description = "Pages that may call, e.g. https://example.org (*: all; default: none).")
    List<String> cors = new ArrayList<>();

    @Option(names = "--allowed-host", paramLabel = "NAME", split = ",", description = "Names by which clients call it (default on loopback: the loopback names; elsewhere: any).")
    List<String> hosts = new ArrayList<>();

    @Option(names = "--sessions", paramLabel = "N", description = "Full contexts that the cache has room for; shorter ones share it (default: 4).")
    int sessions = SESSIONS;

    @Option(names = "--max-queue", paramLabel = "N", description = "Most generations that wait for their turn (default: 128).")
    int queue = ServerLimits.DEFAULT.waiting();

    @Option(names = "--max-queue-tokens", paramLabel = "N", description = "Most prompt tokens that wait for their turn (default: 262144).")
    long queueTokens = ServerLimits.DEFAULT.waitingTokens();

    @Option(names = "--queue-timeout", paramLabel = "SECONDS", description = "Longest wait for a turn (default: 30).")
    long queueTimeout = ServerLimits.DEFAULT.queueTimeout().toSeconds();

    @Option(names = "--generation-timeout", paramLabel = "SECONDS", description = "Longest generation (default: 600).")
    long generationTimeout = ServerLimits.DEFAULT.generationTimeout().toSeconds();

    @Option(names = "--drain-timeout", paramLabel = "SECONDS", description = "How long ending waits for answers (default: 30).")
    long drainTimeout = ServerLimits.DEFAULT.drainTimeout().toSeconds();

    @Option(names = "--max-body", paramLabel = "BYTES", description = "Most bytes of a request's body (default: 4194304).")
    int body = ServerLimits.DEFAULT.bodyBytes();

    @Option(names = "--max-connections", paramLabel = "N", description = "Most open connections (default: 1024).")
    int connections = ServerLimits.DEFAULT.connections();

    @Option(names = "--idle-unload", paramLabel = "SECONDS", description = "Unload a model that was idle for so long (default: only when memory is short).")
    long idleUnload;

    @Mixin
    ModelOptions options = new ModelOptions();

    ServeCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws Exception {
        quiet();
        if (sessions < 1) throw new Exit.UsageException("--sessions must be positive, not " + sessions);
        Options opening = options.options(console).withSessions(sessions);
        ServerOptions serving = serving();
        List<ServedModel> served = new ArrayList<>();
        if (model != null || more.isEmpty()) served.add(served(model == null ? Lacuna.DEFAULT_MODEL : model, opening));
        for (String m : more) served.add(served(m, opening));
        long begun = System.nanoTime();
        try (LacunaServer server = LacunaServer.start(served, serving)) {
            CountDownLatch ended = endedBySignal(server);
            server.load();
            greet(console.out(), server, served, serving, opening, System.nanoTime() - begun);
            ended.await();
        }
        return Exit.OK;
    }

    /** Closes the server when the process is told to end, and tells when that is done. */
    private static CountDownLatch endedBySignal(LacunaServer server) {
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            server.close();
            ended.countDown();
        }, "lacuna-serve-close"));
        return ended;
    }

    private ServerOptions serving() throws Exception {
        List<String> all = new ArrayList<>(keys);
        if (keyFile != null) {
            if (!Files.isRegularFile(keyFile)) throw new Exit.UsageException("--api-key-file " + keyFile + " is not a file");
            Files.readAllLines(keyFile).stream().map(String::strip).filter(l -> !l.isEmpty() && !l.startsWith("#")).forEach(all::add);
            if (all.isEmpty()) throw new Exit.UsageException("--api-key-file " + keyFile + " has no key");
        }
        String key = console.environment().get("LACUNA_API_KEY");
        if (key != null && !key.isBlank()) all.add(key.strip());
        ServerLimits limits = ServerLimits.DEFAULT.withQueue(queue, queueTokens, Duration.ofSeconds(queueTimeout))
                .withGenerationTimeout(Duration.ofSeconds(generationTimeout)).withDrainTimeout(Duration.ofSeconds(drainTimeout))
                .withBytes(ServerLimits.DEFAULT.headerBytes(), body).withConnections(connections);
        return ServerOptions.DEFAULT.withHost(host).withPort(port).withKeys(all).withInsecure(insecure).withCorsOrigins(cors)
                .withHosts(hosts)
                .withIdleUnload(Duration.ofSeconds(idleUnload)).withLimits(limits);
    }

    private ServedModel served(String said, Options opening) {
        int equals = said.indexOf('=');
        boolean named = equals > 0 && said.substring(0, equals).matches("[\\w.:-]+");
        String source = named ? said.substring(equals + 1) : said;
        String name = named ? said.substring(0, equals) : name(source);
        return new ServedModel(name, () -> Lacuna.open(ModelOptions.find(console, source), opening));
    }

    /** What clients call a model: the name or source as it was given; of a path only its end. */
    private static String name(String source) {
        if (!Files.exists(Path.of(source))) return source;
        String file = Path.of(source).toAbsolutePath().normalize().getFileName().toString();
        return file.endsWith(".gguf") ? file.substring(0, file.length() - ".gguf".length()) : file;
    }

    private static void greet(PrintStream out, LacunaServer server, List<ServedModel> served, ServerOptions serving, Options opening,
            long nanos) {
        String name = served.getFirst().name();
        out.println("listening on " + server.uri());
        out.println(
                "model: " + String.join(", ", served.stream().map(ServedModel::name).toList()) + " (" + nanos / 1_000_000 + " ms to load "
                        + name + ")");
        out.println("runs on: " + ModelOptions.tier(opening) + " kernels, " + opening.kernels().threadsOrAll() + " threads");
        String key = serving.keys().isEmpty() ? "" : " -H \"Authorization: Bearer $LACUNA_API_KEY\"";
        out.println("try: curl " + server.uri() + "/v1/chat/completions -H 'Content-Type: application/json'" + key
                + " -d '{\"model\":\"" + name.replace("'", "'\\''") + "\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'");
        out.flush();
    }

    /** One line for a message, and of the web server's only what went wrong. */
    private static void quiet() {
        if (System.getProperty("java.util.logging.SimpleFormatter.format") == null) {
            System.setProperty("java.util.logging.SimpleFormatter.format", "%1$tFT%1$tT %4$s %5$s%6$s%n");
        }
        WEB.setLevel(Level.WARNING);
    }

    /** Kept, since what nobody holds forgets its level. */
    private static final Logger WEB = Logger.getLogger("io.helidon");
}
