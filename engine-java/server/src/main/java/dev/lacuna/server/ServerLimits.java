package dev.lacuna.server;

import java.time.Duration;

/**
 * What keeps a server upright. Every wait has an end and every queue a bound.
 *
 * @param headerBytes       most bytes of a request's line and headers
 * @param bodyBytes         most bytes of a request's body
 * @param messages          most messages of a conversation
 * @param choices           most answers to one request ({@code n})
 * @param waiting           most generations that wait for their turn
 * @param waitingTokens     most prompt tokens that wait for their turn; one prompt may always wait alone
 * @param queueTimeout      longest wait for a turn
 * @param generationTimeout longest generation
 * @param stallTimeout      longest time to send the headers of a request, and longest time in which a client takes nothing of what is written to it
 * @param bodyTimeout       longest time to send a body
 * @param idleTimeout       how long a connection is kept open between requests
 * @param drainTimeout      how long closing waits for what runs
 * @param connections       most open connections
 * @param ping              the longest silence of a stream while its prompt is computed
 * @param keepAlive         the longest silence of a stream after its first token
 */
public record ServerLimits(int headerBytes, int bodyBytes, int messages, int choices, int waiting, long waitingTokens,
        Duration queueTimeout,
        Duration generationTimeout, Duration stallTimeout, Duration bodyTimeout, Duration idleTimeout, Duration drainTimeout,
        int connections, Duration ping, Duration keepAlive) {

    public static final ServerLimits DEFAULT = new ServerLimits(16 << 10, 4 << 20, 1024, 8, 128, 1 << 18, Duration.ofSeconds(30),
            Duration.ofMinutes(10), Duration.ofSeconds(30), Duration.ofSeconds(60), Duration.ofSeconds(60), Duration.ofSeconds(30), 1024,
            Duration.ofSeconds(1), Duration.ofSeconds(15));

    public ServerLimits {
        atLeast("headerBytes", headerBytes, 1024);
        atLeast("bodyBytes", bodyBytes, 1024);
        atLeast("messages", messages, 1);
        atLeast("choices", choices, 1);
        atLeast("waiting", waiting, 1);
        atLeast("waitingTokens", waitingTokens, 1);
        atLeast("connections", connections, 1);
        positive("queueTimeout", queueTimeout);
        positive("generationTimeout", generationTimeout);
        positive("stallTimeout", stallTimeout);
        positive("bodyTimeout", bodyTimeout);
        positive("idleTimeout", idleTimeout);
        positive("drainTimeout", drainTimeout);
        positive("ping", ping);
        positive("keepAlive", keepAlive);
    }

    private static void atLeast(String name, long value, long least) {
        if (value < least) throw new IllegalArgumentException(name + " must be at least " + least + ", is " + value);
    }

    private static void positive(String name, Duration d) {
        if (!d.isPositive()) throw new IllegalArgumentException(name + " must be positive, is " + d);
    }

    /** Bounds of the queue: generations, their prompt tokens, and how long one may wait. */
    public ServerLimits withQueue(int requests, long tokens, Duration longest) {
        return new ServerLimits(headerBytes, bodyBytes, messages, choices, requests, tokens, longest, generationTimeout, stallTimeout,
                bodyTimeout, idleTimeout, drainTimeout, connections, ping, keepAlive);
    }

    /** Most bytes of a request's headers and of its body. */
    public ServerLimits withBytes(int headers, int body) {
        return new ServerLimits(headers, body, messages, choices, waiting, waitingTokens, queueTimeout, generationTimeout, stallTimeout,
                bodyTimeout, idleTimeout, drainTimeout, connections, ping, keepAlive);
    }

    /** Longest times for headers and stalled writes, for a body, and between requests. */
    public ServerLimits withClientTimeouts(Duration stall, Duration body, Duration idle) {
        return new ServerLimits(headerBytes, bodyBytes, messages, choices, waiting, waitingTokens, queueTimeout, generationTimeout, stall,
                body,
                idle, drainTimeout, connections, ping, keepAlive);
    }

    public ServerLimits withGenerationTimeout(Duration longest) {
        return new ServerLimits(headerBytes, bodyBytes, messages, choices, waiting, waitingTokens, queueTimeout, longest, stallTimeout,
                bodyTimeout, idleTimeout, drainTimeout, connections, ping, keepAlive);
    }

    public ServerLimits withDrainTimeout(Duration longest) {
        return new ServerLimits(headerBytes, bodyBytes, messages, choices, waiting, waitingTokens, queueTimeout, generationTimeout,
                stallTimeout, bodyTimeout, idleTimeout, longest, connections, ping, keepAlive);
    }

    public ServerLimits withConnections(int most) {
        return new ServerLimits(headerBytes, bodyBytes, messages, choices, waiting, waitingTokens, queueTimeout, generationTimeout,
                stallTimeout, bodyTimeout, idleTimeout, drainTimeout, most, ping, keepAlive);
    }
}
