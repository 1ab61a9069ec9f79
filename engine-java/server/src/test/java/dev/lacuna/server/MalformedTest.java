package dev.lacuna.server;

import static dev.lacuna.server.TestServer.CHAT;
import static dev.lacuna.server.TestServer.chat;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Malformed exchanges, a few hundred for each route (B4): refused with 4xx or by closing, never 5xx (503 excepted), never left hanging. */
class MalformedTest {
    private static final int EXCHANGES = Integer.getInteger("lacuna.malformed", 500);
    private static final int SILENCE = 700; // for exchanges that promise more than they send
    private static final long SEED = 40404;
    private static TestServer s;

    @BeforeAll
    static void start() {
        s = TestServer.start(o -> o.withLimits(o.limits().withBytes(16 << 10, 64 << 10)));
    }

    @AfterAll
    static void stop() throws InterruptedException {
        s.assertSettled();
        s.close();
    }

    static List<Route> routes() {
        return s.server.routes();
    }

    @ParameterizedTest
    @MethodSource("routes")
    void nothingMalformedIsMoreThanRefused(Route route) throws Exception {
        SplittableRandom random = new SplittableRandom(SEED + route.path().hashCode());
        System.out.println(route.method() + " " + route.path() + ": seed " + SEED);
        TreeMap<String, Integer> statuses = new TreeMap<>();
        List<Future<String>> answers = new ArrayList<>();
        try (ExecutorService threads = Executors.newFixedThreadPool(256)) { // they wait, most of the time
            for (int i = 0; i < EXCHANGES; i++) {
                byte[] bytes = malformed(route, random);
                answers.add(threads.submit(() -> {
                    String answer = s.exchange(bytes, SILENCE);
                    String first = answer.lines().filter(l -> l.startsWith("HTTP/1.1 ") && !l.startsWith("HTTP/1.1 100")).findFirst()
                            .orElse("(closed)");
                    assertFalse(first.matches("HTTP/1.1 5.*") && !first.startsWith("HTTP/1.1 503") && !first.matches("HTTP/1.1 50[15].*"),
                            () -> first + " for "
                                    + new String(bytes, StandardCharsets.ISO_8859_1).substring(0, Math.min(400, bytes.length)));
                    return first;
                }));
            }
            for (Future<String> f : answers) statuses.merge(f.get(), 1, Integer::sum);
        }
        System.out.println(statuses);
        assertTrue(statuses.keySet().stream().anyMatch(k -> k.startsWith("HTTP/1.1 4")), statuses.toString());
        assertEquals(200, s.post(CHAT, chat("hi", "\"max_tokens\":1")).status());
    }

    private static String path(Route route) {
        return route.path().replace("*", "tiny");
    }

    private static byte[] malformed(Route route, SplittableRandom random) {
        String path = path(route);
        String line = route.method() + " " + path + " HTTP/1.1\r\n";
        String host = "Host: localhost\r\n";
        String json = "Content-Type: application/json\r\n";
        String close = "Connection: close\r\n";
        byte[] body = body(random);
        return switch (random.nextInt(20)) {
            case 0 -> text(pick(random, "GET", "PUT", "DELETE", "PATCH", "HEAD", "TRACE", "OPTIONS", "CONNECT", "get", "B\u0000D", "\u00e9",
                    "", "X".repeat(5000))
                    + " " + path + " HTTP/1.1\r\n" + host + close + "\r\n");
            case 1 -> text(route.method() + " " + path
                    + pick(random, "%", "%0", "%zz", "\u0000", "/../../etc", "?a=%", "#x", "//", "\\", " x", "%00",
                            "?" + "a".repeat(20_000))
                    + " HTTP/1.1\r\n" + host + close + "\r\n");
            case 2 -> text(route.method() + " " + path
                    + pick(random, "", " HTTP/1.0", " HTTP/2.0", " HTTP/9", " HTTP/1.1 x", "  HTTP/1.1", " FTP/1.1")
                    + "\r\n" + host + close + "\r\n");
            case 3 ->
                text(line + pick(random, "", "Host:\r\n", host + host, "Host: a b\r\n", "Host: localhost:99999999999\r\n", "Host: [::1\r\n",
                        "Host: \u00e9\r\n", "Host: localhost\u0000\r\n") + close + "\r\n");
            case 4 -> text(line + host
                    + pick(random, "NoColon\r\n", ": empty\r\n", "A B: c\r\n", "A\u0000: b\r\n", "A: \u0001\r\n", " folded: x\r\n",
                            "A: b\n", "A: b\r", "\u00e9: x\r\n", "A: " + "b".repeat(20_000) + "\r\n", "A: b\r\n".repeat(5_000))
                    + close + "\r\n");
            case 5 -> join(line + host + json + close + "Content-Length: "
                    + pick(random, "-1", "+3", "3x", "", " ", "0x10", "99999999999999999999", "1e3", "1,2", "3\r\nContent-Length: 4")
                    + "\r\n\r\n", body);
            case 6 -> join(line + host + json + "Content-Length: " + (body.length + 1 + random.nextInt(50)) + "\r\n\r\n", body); // too few
            case 7 -> join(line + host + json + close + "Content-Length: " + (random.nextInt(Math.max(1, body.length))) + "\r\n\r\n", body); // too many
            case 8 -> join(
                    line + host + json + close + "Transfer-Encoding: " + pick(random, "gzip", "chunked, gzip", "identity", "", "chunked\r\n"
                            + "Content-Length: 5", "xchunked") + "\r\n\r\n",
                    body);
            case 9 -> join(line + host + json + close + "Transfer-Encoding: chunked\r\n\r\n", chunks(random, body, true));
            case 10 -> join(line + host + json + close + "Transfer-Encoding: chunked\r\n\r\n", chunks(random, body, false));
            case 11 ->
                join(line + host + close + "Content-Type: " + pick(random, "text/plain", "", "application", "application/jsonx", "*/*", "/",
                        "application/json;charset=utf-16", "\u00e9/x") + "\r\nContent-Length: " + body.length + "\r\n\r\n", body);
            case 12 -> join(line + host + json + close + "Content-Encoding: " + pick(random, "gzip", "br", "identity", "x")
                    + "\r\nContent-Length: " + body.length
                    + "\r\n\r\n", body);
            case 13 -> join(line + host + json + close + "Expect: " + pick(random, "100-continue", "x", "200-ok") + "\r\nContent-Length: "
                    + body.length
                    + "\r\n\r\n", body);
            case 14 -> join(line + host + json + close + "Upgrade: " + pick(random, "h2c", "websocket", "TLS/1.0") + "\r\nContent-Length: "
                    + body.length
                    + "\r\n\r\n", body);
            case 15 -> noise(random);
            default -> join(line + host + json + close + "Content-Length: " + body.length + "\r\n\r\n", body);
        };
    }

    /** A body that is wrong in some way. */
    private static byte[] body(SplittableRandom random) {
        return switch (random.nextInt(14)) {
            case 0 -> noise(random);
            case 1 -> text("{\"messages\":[{\"role\":\"user\",\"content\":\"" + "\u00e9\u00ff\u00c3" + "\"}]}"); // bad UTF-8: as Latin-1
            case 2 -> text("[".repeat(1 + random.nextInt(20_000)));
            case 3 -> text("{\"temperature\":1e400,\"messages\":[],\"prompt\":\"\",\"tokens\":[1e400],\"content\":5}");
            case 4 -> text("{\"a\":1,\"a\":1}");
            case 5 -> text("{\"messages\":null,\"prompt\":null,\"tokens\":null,\"content\":null}");
            case 6 -> text("\u0000".repeat(random.nextInt(100)));
            case 7 -> text(
                    "{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"},{\"role\":7}],\"prompt\":{},\"tokens\":[\"x\"],\"content\":[]}");
            case 8 ->
                text("{\"n\":" + "9".repeat(1 + random.nextInt(3000)) + ",\"prompt\":\"a\",\"tokens\":[99999999999],\"content\":true}");
            case 9 -> text("{\"content\":" + "\"x\",".repeat(50));
            case 10 -> text("x".repeat(70_000));
            case 11 -> text(
                    "{\"model\":\"nope\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"prompt\":\"a\",\"tokens\":[1],\"content\":\"a\"}");
            case 12 -> text("\u00ef\u00bb\u00bf{}");
            default -> text("{\"stream\":\"true\",\"messages\":\"hi\",\"prompt\":[[1],[\"a\"]],\"tokens\":{},\"content\":1.5}");
        };
    }

    private static byte[] chunks(SplittableRandom random, byte[] body, boolean broken) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        int at = 0;
        while (at < Math.min(body.length, 200)) {
            int n = Math.min(1 + random.nextInt(3), body.length - at);
            String size = broken && random.nextInt(10) == 0
                    ? pick(random, "-1", "zz", "", "ffffffffff", "7fffffff", "1;" + "x".repeat(9000), " 1", "0x1")
                    : Integer.toHexString(n);
            out.writeBytes(text(size + "\r\n"));
            out.write(body, at, n);
            out.writeBytes(text(broken && random.nextInt(10) == 0 ? "" : "\r\n"));
            at += n;
        }
        out.writeBytes(text(broken && random.nextBoolean() ? "0\r\nTrailer: x\r\n\r\n" : "0\r\n\r\n"));
        return out.toByteArray();
    }

    private static byte[] noise(SplittableRandom random) {
        byte[] bytes = new byte[1 + random.nextInt(3000)];
        random.nextBytes(bytes);
        return bytes;
    }

    private static String pick(SplittableRandom random, String... of) {
        return of[random.nextInt(of.length)];
    }

    private static byte[] text(String latin1) {
        return latin1.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static byte[] join(String head, byte[] body) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(text(head));
        out.writeBytes(body);
        return out.toByteArray();
    }
}
