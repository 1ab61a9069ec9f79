package dev.lacuna.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import dev.lacuna.TinyModel;
import dev.lacuna.ops.InputPolicy;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.UnaryOperator;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A server of the tiny model on a free port, and clients of it. */
final class TestServer implements AutoCloseable {
    static final String CHAT = "/v1/chat/completions";
    static final String COMPLETIONS = "/v1/completions";
    static final int CONTEXT = 2048;
    static final Duration LONGEST = Duration.ofSeconds(60);
    private static final JsonMapper JSON = JsonMapper.builder().build();

    final Lacuna model;
    final LacunaServer server;
    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(LONGEST).build();

    private TestServer(Lacuna model, LacunaServer server) {
        this.model = model;
        this.server = server;
    }

    /** The tiny model with one kind of input for prompts and answers, so that a text is the same alone and among others. */
    static Lacuna open(int sessions) {
        try {
            Path file = Files.createTempFile("tiny", ".gguf");
            try {
                return Lacuna.open(TinyModel.write(file, CONTEXT), options(sessions));
            } finally {
                Files.delete(file); // the map stays
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static Options options(int sessions) {
        return Options.DEFAULT.withContext(CONTEXT).withSessions(sessions).withActivations(InputPolicy.F32).withThreads(2);
    }

    static TestServer start() {
        return start(o -> o);
    }

    static TestServer start(UnaryOperator<ServerOptions> with) {
        return start(8, with);
    }

    static TestServer start(int sessions, UnaryOperator<ServerOptions> with) {
        Lacuna model = open(sessions);
        try {
            return new TestServer(model, LacunaServer.start(model, with.apply(ServerOptions.DEFAULT.withPort(0))));
        } catch (RuntimeException e) {
            model.close();
            throw e;
        }
    }

    /** An answer. */
    record Reply(int status, String body, HttpResponse<?> response) {
        JsonNode json() {
            return JSON.readTree(body);
        }

        Optional<String> header(String name) {
            return response.headers().firstValue(name);
        }

        /** The error, after a look at its status. */
        JsonNode error(int expected) {
            assertEquals(expected, status, body);
            JsonNode error = json().get("error");
            assertTrue(error != null && error.get("message").isString() && error.get("type").isString(), body);
            assertTrue(error.has("param") && error.has("code"), body);
            return error;
        }

        /** The data of events, the last of which is [DONE]. */
        List<JsonNode> events() {
            assertEquals(200, status, body);
            List<JsonNode> events = new ArrayList<>();
            boolean done = false;
            for (String line : body.split("\n")) {
                if (line.isEmpty() || line.startsWith(":")) continue;
                assertTrue(line.startsWith("data: "), line);
                assertTrue(!done, "nothing follows [DONE]: " + line);
                if (line.equals("data: [DONE]")) {
                    done = true;
                } else {
                    events.add(JSON.readTree(line.substring(6)));
                }
            }
            assertTrue(done, "[DONE] is missing: " + body);
            return events;
        }
    }

    URI uri(String path) {
        return URI.create(server.uri() + path);
    }

    HttpRequest.Builder request(String path, String... headers) {
        HttpRequest.Builder b = HttpRequest.newBuilder(uri(path)).timeout(LONGEST);
        if (headers.length > 0) b.headers(headers);
        return b;
    }

    Reply send(HttpRequest request) {
        try {
            HttpResponse<String> r = http.send(request, HttpResponse.BodyHandlers.ofString());
            return new Reply(r.statusCode(), r.body(), r);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    Reply get(String path, String... headers) {
        return send(request(path, headers).GET().build());
    }

    Reply post(String path, String body, String... headers) {
        return send(
                request(path, headers).header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(body)).build());
    }

    /** A request for a chat of one message, {@code more} being further fields. */
    static String chat(String text, String more) {
        return "{\"messages\":[{\"role\":\"user\",\"content\":" + JSON.writeValueAsString(text) + "}]" + (more.isEmpty() ? "" : "," + more)
                + "}";
    }

    /** A request for a greedy continuation. */
    static String completion(String text, int tokens, String more) {
        return "{\"prompt\":" + JSON.writeValueAsString(text) + ",\"max_tokens\":" + tokens + ",\"temperature\":0"
                + (more.isEmpty() ? "" : "," + more) + "}";
    }

    /** A connection to write anything on. */
    Socket connect() throws IOException {
        Socket s = new Socket(server.address().getAddress(), server.address().getPort());
        s.setSoTimeout((int) LONGEST.toMillis());
        return s;
    }

    /** A request as bytes. */
    static byte[] raw(String path, String body, String... headers) {
        StringBuilder head = new StringBuilder("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        for (String h : headers) head.append(h).append("\r\n");
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        head.append("Content-Length: ").append(bytes.length).append("\r\n\r\n");
        return (head + body).getBytes(StandardCharsets.UTF_8);
    }

    /** Sends bytes on a connection of their own and reads until it is closed or nothing comes for a while. */
    String exchange(byte[] bytes, int silence) throws IOException {
        try (Socket s = connect()) {
            s.setSoTimeout(silence);
            OutputStream out = s.getOutputStream();
            try {
                out.write(bytes);
                out.flush();
            } catch (IOException e) {
                return readAll(s.getInputStream()); // refused before all was sent
            }
            return readAll(s.getInputStream());
        }
    }

    private static String readAll(InputStream in) {
        StringBuilder all = new StringBuilder();
        byte[] buffer = new byte[8192];
        try {
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) all.append(new String(buffer, 0, n, StandardCharsets.ISO_8859_1));
        } catch (IOException e) {
            return all.toString(); // silent, or reset after its answer
        }
        return all.toString();
    }

    /** Waits until something holds. */
    static void await(String what, BooleanSupplier holds) throws InterruptedException {
        long until = System.nanoTime() + LONGEST.toNanos();
        while (!holds.getAsBoolean()) {
            assertTrue(System.nanoTime() - until < 0, "not within " + LONGEST + ": " + what);
            TimeUnit.MILLISECONDS.sleep(5);
        }
    }

    /** A counter or gauge by the beginning of its line, labels included. */
    double metric(String begin) {
        String line = get("/metrics").body().lines().filter(l -> l.startsWith(begin) && !l.startsWith("#")).findFirst()
                .orElseThrow(() -> new AssertionError("no metric " + begin));
        return Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1));
    }

    ModelMetrics metrics() {
        return server.models().first().metrics;
    }

    /** What must hold when nothing runs: every request is accounted for, and nothing is held. */
    void assertSettled() throws InterruptedException {
        await("all requests have ended", () -> server.admission().admitted() == 0);
        await("all cache blocks are free", () -> model.stats().blocksInUse() == 0 && model.stats().running() == 0);
        ModelMetrics m = metrics();
        assertEquals(m.accepted.sum(), m.completed.sum() + m.cancelled.sum() + m.failed.sum(), "accepted = completed + cancelled + failed");
        assertEquals(0, server.admission().waiting(), "waiting");
        assertEquals(0, server.admission().waitingTokens(), "waiting tokens");
        assertEquals(0, model.stats().waiting(), "waiting in the engine");
    }

    @Override
    public void close() {
        http.close();
        server.close();
        model.close();
    }
}
