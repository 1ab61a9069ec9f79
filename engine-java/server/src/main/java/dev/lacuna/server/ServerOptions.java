package dev.lacuna.server;

import java.time.Duration;
import java.util.List;

/**
 * How a server listens and whom it serves.
 *
 * @param host        name or address to listen on
 * @param port        0: any free one
 * @param keys        who knows one of them is served, each with a cache of its own; empty: everyone is
 * @param insecure    whether to listen outside loopback without a key
 * @param corsOrigins origins whose pages may call, such as {@code https://example.org}; {@code *}: all
 * @param hosts       names by which clients call it, checked against DNS rebinding; empty: the loopback names where it listens on loopback, any elsewhere
 * @param idleUnload  after what time without a request a model leaves the memory; zero: only when memory is short and several models are served
 * @param limits      what keeps it upright
 */
public record ServerOptions(String host, int port, List<String> keys, boolean insecure, List<String> corsOrigins, List<String> hosts,
        Duration idleUnload, ServerLimits limits) {
    /** Loopback, port 8080, no key. */
    public static final ServerOptions DEFAULT = new ServerOptions("127.0.0.1", 8080, List.of(), false, List.of(), List.of(), Duration.ZERO,
            ServerLimits.DEFAULT);

    private static final int SHORTEST_KEY = 8;

    public ServerOptions {
        if (host.isBlank()) throw new IllegalArgumentException("the host to listen on is empty");
        if (port < 0 || port > 65535) throw new IllegalArgumentException("the port must be within 0..65535, not " + port);
        if (idleUnload.isNegative()) throw new IllegalArgumentException("idleUnload must not be negative: " + idleUnload);
        keys = List.copyOf(keys);
        corsOrigins = List.copyOf(corsOrigins);
        hosts = List.copyOf(hosts);
        for (String key : keys) {
            boolean plain = key.chars().allMatch(c -> c > ' ' && c < 0x7f);
            if (!plain || key.length() < SHORTEST_KEY) {
                throw new IllegalArgumentException(
                        "an API key must have at least " + SHORTEST_KEY + " characters, visible ASCII ones only");
            }
        }
    }

    /** A summary that does not tell the keys. */
    @Override
    public String toString() {
        return "ServerOptions[" + host + ":" + port + ", " + keys.size() + " keys]";
    }

    public ServerOptions withHost(String name) {
        return new ServerOptions(name, port, keys, insecure, corsOrigins, hosts, idleUnload, limits);
    }

    public ServerOptions withPort(int p) {
        return new ServerOptions(host, p, keys, insecure, corsOrigins, hosts, idleUnload, limits);
    }

    public ServerOptions withKeys(List<String> all) {
        return new ServerOptions(host, port, all, insecure, corsOrigins, hosts, idleUnload, limits);
    }

    public ServerOptions withInsecure(boolean open) {
        return new ServerOptions(host, port, keys, open, corsOrigins, hosts, idleUnload, limits);
    }

    public ServerOptions withCorsOrigins(List<String> origins) {
        return new ServerOptions(host, port, keys, insecure, origins, hosts, idleUnload, limits);
    }

    public ServerOptions withHosts(List<String> names) {
        return new ServerOptions(host, port, keys, insecure, corsOrigins, names, idleUnload, limits);
    }

    public ServerOptions withIdleUnload(Duration after) {
        return new ServerOptions(host, port, keys, insecure, corsOrigins, hosts, after, limits);
    }

    public ServerOptions withLimits(ServerLimits l) {
        return new ServerOptions(host, port, keys, insecure, corsOrigins, hosts, idleUnload, l);
    }
}
