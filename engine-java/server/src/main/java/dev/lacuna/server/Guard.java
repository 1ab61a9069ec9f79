package dev.lacuna.server;

import io.helidon.http.HeaderNames;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** Who may ask: the names that the server is called by, the pages that may call it, and keys. */
final class Guard {
    private static final Set<String> LOOPBACK = Set.of("localhost", "127.0.0.1", "[::1]");

    private final List<byte[]> keys = new ArrayList<>(); // digests
    private final Set<String> hosts = new TreeSet<>(); // empty: any
    private final List<String> origins;

    /**
     * @throws IllegalArgumentException if the host does not exist, or it is no loopback address, there is no key, and nobody said that this is meant so
     */
    Guard(ServerOptions options) {
        boolean loopback = loopback(options.host());
        if (!loopback && options.keys().isEmpty() && !options.insecure()) {
            throw new IllegalArgumentException(
                    options.host() + " can be reached from other machines: set an API key (--api-key-file), or say that"
                            + " everyone may use it (--insecure)");
        }
        for (String key : options.keys()) keys.add(digest(key));
        for (String host : options.hosts()) hosts.add(host.toLowerCase(Locale.ROOT));
        if (loopback) {
            hosts.addAll(LOOPBACK);
            hosts.add(options.host().toLowerCase(Locale.ROOT));
        }
        origins = options.corsOrigins();
    }

    private static boolean loopback(String host) {
        try {
            for (InetAddress a : InetAddress.getAllByName(host)) {
                if (!a.isLoopbackAddress()) return false;
            }
            return true;
        } catch (UnknownHostException e) {
            throw new IllegalArgumentException("there is no host " + host + " to listen on", e);
        }
    }

    private static byte[] digest(String key) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(key.getBytes(StandardCharsets.UTF_8));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    /** Refuses requests for another name: a web page whose name was made to mean this machine (DNS rebinding) sends its own. */
    void host(Exchange x) {
        if (hosts.isEmpty()) return;
        String host = x.header(HeaderNames.HOST);
        if (host == null || !hosts.contains(name(host))) {
            throw ApiException.forbidden("host_not_allowed",
                    "this server is not called by that name; the names that it answers to are set with --allowed-host");
        }
    }

    /** A Host header without its port. */
    private static String name(String host) {
        int colon = host.lastIndexOf(':');
        boolean port = colon > host.lastIndexOf(']');
        return (port ? host.substring(0, colon) : host).toLowerCase(Locale.ROOT);
    }

    /**
     * Refuses requests of pages that came from elsewhere, the configured origins excepted.
     *
     * @return the origin if it is one of those
     */
    @Nullable
    String origin(Exchange x) {
        String origin = x.header(HeaderNames.ORIGIN);
        if (origin == null) return null;
        if (origins.contains("*") || origins.contains(origin)) return origin;
        String host = x.header(HeaderNames.HOST);
        if (host != null && (origin.equalsIgnoreCase("http://" + host) || origin.equalsIgnoreCase("https://" + host))) return null;
        throw ApiException.forbidden("origin_not_allowed", "pages of this origin may not call; those that may are set with --cors");
    }

    /**
     * Finds whose key a request has. All keys are compared, each in constant time.
     *
     * @return a word for the key
     */
    String key(Exchange x) {
        if (keys.isEmpty()) return "";
        String said = said(x.header(HeaderNames.AUTHORIZATION));
        byte[] digest = digest(said);
        int found = -1;
        for (int i = 0; i < keys.size(); i++) found = MessageDigest.isEqual(keys.get(i), digest) ? i : found;
        if (found >= 0 && !said.isEmpty()) return "key" + found;
        boolean page = x.method().equals("GET") && String.valueOf(x.header(HeaderNames.ACCEPT)).contains("text/html");
        // browsers ask for a password, and send it with every request of the page
        x.header(HeaderNames.WWW_AUTHENTICATE, page ? "Basic realm=\"lacuna\", charset=\"UTF-8\"" : "Bearer");
        throw ApiException
                .unauthorized(said.isEmpty() ? "an API key is needed: Authorization: Bearer KEY" : "that API key is not known here");
    }

    /** The key of {@code Bearer KEY}, or the password of {@code Basic}; empty: none. */
    private static String said(@Nullable String authorization) {
        if (authorization == null) return "";
        if (authorization.regionMatches(true, 0, "Bearer ", 0, 7)) return authorization.substring(7).strip();
        if (!authorization.regionMatches(true, 0, "Basic ", 0, 6)) return "";
        try {
            String both = new String(Base64.getDecoder().decode(authorization.substring(6).strip()), StandardCharsets.UTF_8);
            return both.substring(both.indexOf(':') + 1);
        } catch (IllegalArgumentException e) {
            return ""; // not Base64: no key
        }
    }
}
