package dev.lacuna.server;

import io.helidon.http.HeaderName;
import io.helidon.http.HeaderNames;
import io.helidon.http.HeaderValues;
import io.helidon.http.RequestException;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Locale;
import java.util.Set;
import java.util.UUID;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** A request and its answer. */
final class Exchange {
    private static final HeaderName IGNORED = HeaderNames.create("x-lacuna-ignored-fields");
    private static final HeaderName REQUEST_ID = HeaderNames.create("x-request-id");
    private static final HeaderName RETRY_AFTER = HeaderNames.create("retry-after");
    private static final int MOST_IGNORED = 16; // names told

    private final ServerRequest request;
    private final ServerResponse response;
    private final Wire wire;
    private final ServerLimits limits;
    private final ClientConnection connection = ClientConnection.current();
    final String id = UUID.randomUUID().toString().replace("-", "");
    final long begun = System.nanoTime();
    private String client = "";
    private int status;

    Exchange(ServerRequest request, ServerResponse response, Wire wire, ServerLimits limits) {
        this.request = request;
        this.response = response;
        this.wire = wire;
        this.limits = limits;
        header(REQUEST_ID, id);
        header(HeaderNames.CACHE_CONTROL, "no-store");
        header(HeaderNames.X_CONTENT_TYPE_OPTIONS, "nosniff");
    }

    String method() {
        return request.prologue().method().text();
    }

    /** The decoded path. */
    String path() {
        return request.path().path();
    }

    @Nullable
    String header(HeaderName name) {
        return request.headers().first(name).orElse(null);
    }

    void header(HeaderName name, String value) {
        response.header(name, value);
    }

    ClientConnection connection() {
        return connection;
    }

    ServerLimits limits() {
        return limits;
    }

    /** Who asks: one word for each key. */
    String client() {
        return client;
    }

    void client(String word) {
        client = word;
    }

    /** The status that was sent; 0: none yet. */
    int status() {
        return status;
    }

    /** Whether no request follows on its connection. */
    boolean last() {
        return request.headers().containsToken(HeaderValues.CONNECTION_CLOSE)
                || response.headers().containsToken(HeaderValues.CONNECTION_CLOSE);
    }

    // ---- reading

    private byte[] body() throws IOException {
        String type = header(HeaderNames.CONTENT_TYPE);
        // anything else could be sent by a web page without asking first (a "simple request" of the fetch standard)
        if (type == null || !type.toLowerCase(Locale.ROOT).split(";", 2)[0].strip().equals("application/json")) {
            throw ApiException.refused(415, "unsupported_media_type", "the Content-Type must be application/json");
        }
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        try (InputStream in = request.content().inputStream()) {
            byte[] buffer = new byte[8192];
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                if (all.size() + n > limits.bodyBytes()) throw tooLarge();
                all.write(buffer, 0, n);
            }
        } catch (RequestException e) {
            if (e.status().code() == 413) throw tooLarge();
            throw ApiException.refused(400, "malformed_body", "the body's framing is malformed");
        } catch (IOException | RuntimeException e) {
            if (e instanceof ApiException) throw e;
            if (connection.gone()) throw new ClientGoneException();
            throw ApiException.refused(400, "malformed_body", "the body's framing is malformed");
        }
        return all.toByteArray();
    }

    private ApiException tooLarge() {
        header(HeaderNames.CONNECTION, "close");
        connection.lingering();
        return ApiException.refused(413, "body_too_large", "the body has more than " + limits.bodyBytes() + " bytes");
    }

    /** The body: an object. */
    Fields json() throws IOException {
        JsonNode node = wire.read(body());
        return new Fields(node);
    }

    // ---- writing

    /** Names fields that mean nothing here. */
    void ignored(Set<String> names) {
        if (names.isEmpty()) return;
        StringBuilder told = new StringBuilder();
        names.stream().limit(MOST_IGNORED).forEach(name -> {
            if (!told.isEmpty()) told.append(", ");
            name.codePoints().limit(64).forEach(c -> told.append(c > ' ' && c < 0x7f && c != ',' ? (char) c : '?'));
        });
        header(IGNORED, told.toString());
    }

    void send(Object reply) {
        send(200, "application/json", wire.write(reply));
    }

    void send(int code, String type, byte[] bytes) {
        status = code;
        response.status(code);
        header(HeaderNames.CONTENT_TYPE, type);
        response.send(bytes);
    }

    void sendNothing(int code) {
        status = code;
        response.status(code);
        response.send();
    }

    void send(ApiException e) {
        if (e.retryAfter > 0) header(RETRY_AFTER, Integer.toString(e.retryAfter));
        send(e.status, "application/json", wire.write(e.reply()));
    }

    /** Begins a stream of events. */
    EventStream events() {
        status = 200;
        header(HeaderNames.CONTENT_TYPE, "text/event-stream; charset=utf-8");
        header(HeaderNames.create("x-accel-buffering"), "no"); // proxies would wait for more
        return new EventStream(response.outputStream(), wire);
    }
}
