package dev.lacuna.server;

import dev.lacuna.Lacuna;
import io.helidon.common.socket.SocketOptions;
import io.helidon.webserver.WebServer;
import io.helidon.webserver.http.HttpRouting;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.net.InetSocketAddress;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;

/**
 * Serves models over HTTP, by OpenAI's interface and some more routes, which {@code /openapi.json} describes.
 *
 * <pre>{@code
 * try (Lacuna model = Lacuna.open(Lacuna.DEFAULT_MODEL); LacunaServer server = LacunaServer.start(model, ServerOptions.DEFAULT)) {
 *     System.out.println(server.address());
 * }
 * }</pre>
 */
public final class LacunaServer implements AutoCloseable {
    static final String LOG = "dev.lacuna.server";

    private static final Logger LOGGER = System.getLogger(LOG);
    private static final String SCRIPT = "text/javascript; charset=utf-8";
    /** What the chat page loads. */
    private static final Map<String, String> PAGE = Map.of("style.css", "text/css; charset=utf-8", "icon.svg", "image/svg+xml", "theme.js",
            SCRIPT,
            "app.js", SCRIPT, "api.js", SCRIPT, "markdown.js", SCRIPT, "store.js", SCRIPT);
    private static final Duration CHECK = Duration.ofMillis(500);
    private static final Duration GRACE = Duration.ofSeconds(2); // for answers that end with an error, after the drain

    private static final Duration LONGEST_CLOSE = Duration.ofSeconds(30); // a step of a large model

    private final ServerOptions options;
    private final Models models;
    private final Admission admission;
    private final Connections connections;
    private final List<Route> routes;
    private final WebServer web;
    private final ScheduledExecutorService checks;
    private boolean closed;

    /**
     * Serves one open model, which stays its owner's; it is called by the name that its file gives it.
     *
     * @throws IllegalArgumentException if the options would leave it open to everyone
     */
    public static LacunaServer start(Lacuna model, ServerOptions options) {
        String name = model.spec().name().isBlank() ? "model" : model.spec().name();
        LacunaServer server = new LacunaServer(new Models(List.of(new ServedModel(name, () -> model)), false, Duration.ZERO), options);
        server.load();
        return server;
    }

    /**
     * Serves models that are opened at their first use. The first is the one for requests that name none; {@link #load} opens it now.
     *
     * @throws IllegalArgumentException if the options would leave it open to everyone, or two models have one name
     */
    public static LacunaServer start(List<ServedModel> served, ServerOptions options) {
        return new LacunaServer(new Models(served, true, options.idleUnload()), options);
    }

    private LacunaServer(Models models, ServerOptions options) {
        this.options = options;
        this.models = models;
        ServerLimits limits = options.limits();
        Guard guard = new Guard(options);
        Wire wire = new Wire(limits.bodyBytes());
        HttpCounts counts = new HttpCounts();
        admission = new Admission(limits);
        connections = new Connections(limits);
        routes = routes(models, admission, connections, counts);
        Dispatcher dispatcher = new Dispatcher(routes, guard, wire, limits, counts, admission);
        web = listen(options, connections, dispatcher, wire);
        checks = Executors.newSingleThreadScheduledExecutor(Thread.ofPlatform().daemon().name("lacuna-server-checks").factory());
        ScheduledFuture<?> _ = checks.scheduleWithFixedDelay(this::check, CHECK.toMillis(), CHECK.toMillis(), TimeUnit.MILLISECONDS);
    }

    private static WebServer listen(ServerOptions options, Connections connections, Dispatcher dispatcher, Wire wire) {
        ServerLimits limits = options.limits();
        try {
            return WebServer.builder().host(options.host()).port(options.port()).shutdownHook(false).maxTcpConnections(limits.connections())
                    .maxPayloadSize(limits.bodyBytes()).idleConnectionTimeout(limits.generationTimeout().plus(limits.idleTimeout()))
                    .shutdownGracePeriod(GRACE).protocolsDiscoverServices(false).addConnectionSelector(connections)
                    .directHandlers(Malformed.handlers(wire))
                    .connectionOptions(SocketOptions.builder().tcpNoDelay(true).build()) // tokens are small and wait for nobody
                    .routing(HttpRouting.builder().any(dispatcher)).build().start();
        } catch (RuntimeException e) {
            Throwable cause = e;
            while (cause.getCause() != null) cause = cause.getCause();
            throw new IllegalStateException("cannot listen on " + options.host() + ", port " + options.port() + ": " + cause.getMessage(),
                    e);
        }
    }

    private static List<Route> routes(Models models, Admission admission, Connections connections, HttpCounts counts) {
        long now = Instant.now().getEpochSecond();
        List<Route> routes = new ArrayList<>(List.of(new ChatRoute(models, admission), new CompletionRoute(models, admission),
                new ModelsRoute(models, now), new ModelRoute(models, now), new TokenizeRoute(models), new DetokenizeRoute(models),
                new TemplateRoute(models), new LiveRoute(), new HealthRoute("/health/ready", models, admission),
                new HealthRoute("/health", models, admission), new MetricsRoute(models, admission, connections, counts),
                new VersionRoute()));
        ResourceRoute.of("/openapi.json", "openapi.json", "application/json").ifPresent(routes::add);
        ResourceRoute.of("/", "page/index.html", "text/html; charset=utf-8").ifPresent(routes::add);
        PAGE.forEach((file, type) -> ResourceRoute.of("/" + file, "page/" + file, type).ifPresent(routes::add));
        return routes;
    }

    private void check() {
        try {
            connections.check();
            models.sweep();
        } catch (RuntimeException | Error e) {
            LOGGER.log(Level.WARNING, "a check of connections and models failed", e); // the next one is due all the same
        }
    }

    /** The routes, for who wants to try them all. */
    List<Route> routes() {
        return routes;
    }

    Models models() {
        return models;
    }

    Admission admission() {
        return admission;
    }

    /** Opens the first model now; throws what opening it throws. */
    public void load() {
        models.load();
    }

    /** Where it listens. */
    public InetSocketAddress address() {
        return new InetSocketAddress(options.host(), web.port());
    }

    /** The address as clients write it. */
    public URI uri() {
        String host = options.host().contains(":") ? "[" + options.host() + "]" : options.host();
        return URI.create("http://" + host + ":" + web.port());
    }

    /**
     * Stops: refuses new requests, waits for those that run as long as the options say, ends those that are left with an error, and closes the models
     * that it opened. Idempotent.
     */
    @Override
    public synchronized void close() {
        if (closed) return;
        closed = true;
        admission.drain();
        LOGGER.log(Level.INFO, "closing; {0} requests are being answered", admission.admitted());
        try {
            if (!admission.awaitQuiet(options.limits().drainTimeout())) {
                LOGGER.log(Level.WARNING, "{0} requests took too long and are ended", admission.admitted());
                admission.abortAll();
                if (!admission.awaitQuiet(GRACE)) LOGGER.log(Level.WARNING, "{0} requests did not end", admission.admitted());
            }
            web.stop();
            connections.abortAll();
            Thread closing = Thread.ofPlatform().daemon().name("lacuna-close").start(models::close);
            if (!closing.join(LONGEST_CLOSE)) LOGGER.log(Level.WARNING, "the models did not close");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            web.stop();
            connections.abortAll();
        }
        checks.shutdownNow();
    }
}
