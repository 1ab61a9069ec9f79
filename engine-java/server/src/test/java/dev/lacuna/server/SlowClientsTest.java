package dev.lacuna.server;

import static dev.lacuna.server.TestServer.CHAT;
import static dev.lacuna.server.TestServer.COMPLETIONS;
import static dev.lacuna.server.TestServer.chat;
import static dev.lacuna.server.TestServer.completion;
import static dev.lacuna.server.TestServer.raw;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** Clients that send or take a byte now and then (B5): others are served meanwhile, and they are cut off at their deadlines. */
class SlowClientsTest {
    private static final int CLIENTS = Integer.getInteger("lacuna.slow.clients", 100);
    private static final Duration STALL = Duration.ofSeconds(1);
    private static final Duration BODY = Duration.ofSeconds(2);

    /** A client, and what it drips. */
    private record Dripping(Socket socket, byte[] bytes, int from) {}

    @Test
    void slowClientsAreCutOffAndOthersServed() throws Exception {
        byte[] request = raw(CHAT, chat("hi", "\"max_tokens\":1,\"user\":\"" + "x".repeat(2000) + "\""));
        int head = new String(request, StandardCharsets.UTF_8).indexOf("\r\n\r\n") + 4;
        try (TestServer s = TestServer.start(16, o -> o.withLimits(o.limits().withClientTimeouts(STALL, BODY, BODY)))) {
            List<Dripping> all = new ArrayList<>();
            List<Socket> deaf = new ArrayList<>();
            for (int i = 0; i < CLIENTS; i++) {
                Socket socket = new Socket();
                socket.setReceiveBufferSize(2048);
                socket.connect(s.server.address());
                socket.setSoTimeout(50);
                switch (i % 4) {
                    case 0 -> all.add(new Dripping(socket, request, 0)); // headers
                    case 1 -> all.add(new Dripping(socket, request, head + 5)); // body
                    case 2 -> all.add(new Dripping(socket, new byte[0], 0)); // says nothing
                    default -> deaf.add(socket);
                }
            }
            for (Dripping d : all) d.socket.getOutputStream().write(d.bytes, 0, Math.min(d.bytes.length, Math.max(1, d.from)));
            for (Socket d : deaf.subList(0, 4)) { // four of these fill the server
                d.getOutputStream().write(raw(COMPLETIONS, completion("deaf", 100_000, "\"stream\":true,\"n\":2,\"logprobs\":20")));
            }
            long begun = System.nanoTime();
            int round = 0;
            while (s.metric("lacuna_connections") > 1 + CLIENTS / 20) {
                for (Dripping d : all) drip(d, round);
                assertEquals(200, s.post(CHAT, chat("other " + round, "\"max_tokens\":2")).status(), "others are served");
                TimeUnit.MILLISECONDS.sleep(100);
                round++;
                assertTrue(System.nanoTime() - begun < TestServer.LONGEST.toNanos(),
                        () -> s.metric("lacuna_connections") + " are still open");
            }
            int cut = 0;
            for (Dripping d : all) cut += closed(d.socket) ? 1 : 0;
            assertEquals(all.size(), cut, "slow senders that were cut off");
            s.assertSettled();
            System.out.println(CLIENTS + " slow clients were gone after " + (System.nanoTime() - begun) / 1_000_000 + " ms; "
                    + s.metrics().cancelled.sum()
                    + " streams that nobody read were ended");
            for (Dripping d : all) d.socket.close();
            for (Socket d : deaf) d.close();
        }
    }

    private static void drip(Dripping d, int round) {
        int at = Math.max(1, d.from) + round;
        if (at >= d.bytes.length) return;
        try {
            d.socket.getOutputStream().write(d.bytes[at]);
        } catch (IOException e) {
            assertTrue(e instanceof SocketException, "cut off: " + e);
        }
    }

    /** Whether the server has closed it, perhaps after an answer. */
    private static boolean closed(Socket socket) {
        try {
            while (socket.getInputStream().read() >= 0) {
                // an answer before the end
            }
            return true;
        } catch (SocketException e) {
            return true;
        } catch (IOException e) {
            return false; // still open
        }
    }
}
