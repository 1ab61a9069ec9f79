package dev.lacuna.server;

import io.helidon.http.HeaderNames;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Optional;

/** A file that comes with the server. */
final class ResourceRoute implements Route {
    /** The page loads nothing from elsewhere, runs no script and no style that stands in it, and is in nobody's frame. */
    private static final String POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
            + " base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private final String path;
    private final String type;
    private final byte[] bytes;

    private ResourceRoute(String path, String type, byte[] bytes) {
        this.path = path;
        this.type = type;
        this.bytes = bytes;
    }

    /** The route to a file beside this class, if there is one. */
    static Optional<Route> of(String path, String file, String type) {
        try (InputStream in = ResourceRoute.class.getResourceAsStream(file)) {
            return in == null ? Optional.empty() : Optional.of(new ResourceRoute(path, type, in.readAllBytes()));
        } catch (IOException e) {
            throw new UncheckedIOException("a file of the server cannot be read: " + file, e);
        }
    }

    @Override
    public String method() {
        return "GET";
    }

    @Override
    public String path() {
        return path;
    }

    @Override
    public void handle(Exchange x) {
        x.header(HeaderNames.create("content-security-policy"), POLICY);
        x.header(HeaderNames.create("referrer-policy"), "no-referrer");
        x.send(200, type, bytes);
    }
}
