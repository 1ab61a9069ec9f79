package dev.lacuna.server;

import static dev.lacuna.server.TestServer.CHAT;
import static dev.lacuna.server.TestServer.chat;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Lacuna;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Keys on every route but liveness (S1), where it listens (S4), names, origins and cross-site requests. */
class SecurityTest {
    private static final String KEY = "first-key-0123456789";
    private static final String OTHER = "second-key-9876543210";
    private static final String ORIGIN = "https://app.example";
    private static TestServer s;

    @BeforeAll
    static void start() {
        s = TestServer.start(o -> o.withKeys(List.of(KEY, OTHER)).withCorsOrigins(List.of(ORIGIN)));
    }

    @AfterAll
    static void stop() {
        s.close();
    }

    private static HttpRequest request(Route r, String... headers) {
        HttpRequest.Builder b = s.request(r.path().replace("*", "tiny"), headers);
        return r.method().equals("GET")
                ? b.GET().build()
                : b.header("Content-Type", "application/json").method(r.method(), HttpRequest.BodyPublishers.ofString("{}")).build();
    }

    @Test
    void everyRouteButLivenessNeedsAKey() {
        int open = 0;
        for (Route r : s.server.routes()) {
            if (r instanceof LiveRoute) {
                open++;
                assertEquals(200, s.send(request(r)).status());
                continue;
            }
            assertFalse(r.open(), r.path());
            for (String[] headers : new String[][]{{}, {"Authorization", "Bearer"}, {"Authorization", "Bearer "},
                    {"Authorization", "Bearer wrong"},
                    {"Authorization", KEY}, {"Authorization", "Bearer " + KEY + "x"}, {"Authorization", "Bearer " + KEY.substring(1)},
                    {"Authorization", "Basic !!!"},
                    {"Authorization", "Basic " + Base64.getEncoder().encodeToString("x".getBytes(StandardCharsets.UTF_8))},
                    {"X-Api-Key", KEY}}) {
                TestServer.Reply reply = s.send(request(r, headers));
                assertEquals("invalid_api_key", reply.error(401).get("code").asString(), r.method() + " " + r.path());
                assertTrue(reply.header("www-authenticate").isPresent());
            }
            int with = s.send(request(r, "Authorization", "Bearer " + KEY)).status();
            assertTrue(with == 200 || with == 400, r.path() + ": " + with);
        }
        assertEquals(1, open);
        // nor does who has none learn what there is
        s.get("/nothing").error(401);
        s.send(s.request(CHAT).DELETE().build()).error(401);
    }

    @Test
    void anyKeyServesAsBearerOrPassword() {
        String basic = Base64.getEncoder().encodeToString(("me:" + OTHER).getBytes(StandardCharsets.UTF_8));
        assertEquals(200, s.get("/v1/models", "Authorization", "Bearer " + OTHER).status());
        assertEquals(200, s.get("/v1/models", "Authorization", "bearer " + KEY).status());
        assertEquals(200, s.get("/v1/models", "Authorization", "Basic " + basic).status());
        assertTrue(s.get("/", "Accept", "text/html").header("www-authenticate").orElseThrow().startsWith("Basic"),
                "browsers ask for a password");
    }

    @Test
    void aPrefixIsCachedForItsKeyOnly() {
        String asked = chat("a secret that fills more than a block of the cache " + "x".repeat(100), "\"max_tokens\":1");
        int[] cached = new int[3];
        String[] keys = {KEY, KEY, OTHER};
        for (int i = 0; i < 3; i++) {
            cached[i] = s.post(CHAT, asked, "Authorization", "Bearer " + keys[i]).json().get("usage").get("prompt_tokens_details")
                    .get("cached_tokens").asInt();
        }
        assertTrue(cached[1] > 100, "the same key finds it: " + cached[1]);
        assertTrue(cached[2] < 16, "another does not: " + cached[2]);
    }

    @ParameterizedTest
    @ValueSource(strings = {"0.0.0.0", "::"})
    void outsideLoopbackNeedsAKey(String host) {
        try (Lacuna model = TestServer.open(1)) {
            ServerOptions open = ServerOptions.DEFAULT.withPort(0).withHost(host);
            var refused = assertThrows(IllegalArgumentException.class, () -> LacunaServer.start(model, open));
            assertTrue(refused.getMessage().contains("--insecure"), refused.getMessage());
            LacunaServer.start(model, open.withKeys(List.of(KEY))).close();
            LacunaServer.start(model, open.withInsecure(true)).close();
        }
    }

    @Test
    void listensOnLoopbackUnlessTold() {
        assertTrue(s.server.address().getAddress().isLoopbackAddress());
    }

    @ParameterizedTest
    @ValueSource(strings = {"short", "with space inside", "uml\u00e4ut-uml\u00e4ut", ""})
    void aWeakKeyIsRefused(String key) {
        var refused = assertThrows(IllegalArgumentException.class, () -> ServerOptions.DEFAULT.withKeys(List.of(key)));
        assertTrue(key.isEmpty() || !refused.getMessage().contains(key), "a message does not tell the key");
        assertFalse(ServerOptions.DEFAULT.withKeys(List.of(KEY)).toString().contains(KEY));
    }

    /** What a page gets whose name was made to mean this machine (CVE-2024-28224). */
    @ParameterizedTest
    @ValueSource(strings = {"evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "169.254.169.254"})
    void anotherHostNameIsRefused(String host) throws Exception {
        String answer = s.exchange(
                ("GET /health/live HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n").getBytes(StandardCharsets.UTF_8), 10_000);
        assertTrue(answer.startsWith("HTTP/1.1 403"), answer);
        assertTrue(answer.contains("host_not_allowed"), answer);
    }

    @ParameterizedTest
    @ValueSource(strings = {"localhost", "LOCALHOST:1234", "127.0.0.1", "127.0.0.1:9", "[::1]:80"})
    void loopbackNamesAreServed(String host) throws Exception {
        String answer = s.exchange(
                ("GET /health/live HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n").getBytes(StandardCharsets.UTF_8), 10_000);
        assertTrue(answer.startsWith("HTTP/1.1 200"), answer);
    }

    @Test
    void onlyConfiguredOriginsMayCall() {
        TestServer.Reply ours = s.get("/v1/models", "Authorization", "Bearer " + KEY, "Origin", ORIGIN);
        assertEquals(200, ours.status());
        assertEquals(ORIGIN, ours.header("access-control-allow-origin").orElseThrow());
        assertTrue(ours.header("access-control-allow-credentials").isEmpty());
        TestServer.Reply theirs = s.get("/v1/models", "Authorization", "Bearer " + KEY, "Origin", "https://evil.example");
        assertEquals("origin_not_allowed", theirs.error(403).get("code").asString());
        assertTrue(theirs.header("access-control-allow-origin").isEmpty());
        s.get("/v1/models", "Authorization", "Bearer " + KEY, "Origin", "null").error(403);
        TestServer.Reply own = s.get("/v1/models", "Authorization", "Bearer " + KEY, "Origin", s.server.uri().toString());
        assertEquals(200, own.status(), "the page that the server serves");
        HttpRequest asks = s.request(CHAT, "Origin", ORIGIN, "Access-Control-Request-Method", "POST")
                .method("OPTIONS", HttpRequest.BodyPublishers.noBody()).build();
        TestServer.Reply preflight = s.send(asks);
        assertEquals(204, preflight.status(), preflight.body());
        assertTrue(preflight.header("access-control-allow-headers").orElseThrow().contains("authorization"));
    }

    @Test
    void noPageMayCallUnlessConfigured() {
        try (TestServer closed = TestServer.start()) {
            closed.get("/v1/models", "Origin", ORIGIN).error(403);
            HttpRequest asks = closed.request(CHAT, "Origin", ORIGIN, "Access-Control-Request-Method", "POST")
                    .method("OPTIONS", HttpRequest.BodyPublishers.noBody()).build();
            closed.send(asks).error(403);
        }
    }

    /** What a page can send to another origin without asking first must have no effect. */
    @ParameterizedTest
    @ValueSource(strings = {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
            "text/plain; application/json"})
    void simpleRequestsOfPagesAreRefused(String type) {
        HttpRequest form = s.request(CHAT, "Authorization", "Bearer " + KEY).header("Content-Type", type)
                .POST(HttpRequest.BodyPublishers.ofString(chat("x", ""))).build();
        s.send(form).error(415);
    }

    @Test
    void errorsTellNothingOfThisMachine() {
        for (String path : List.of("/..%2f..%2fetc/passwd", "/v1/models/..%2f..", "/v1/models/%00", "/%7Broot%7D")) {
            String body = s.get(path, "Authorization", "Bearer " + KEY).body();
            assertFalse(body.contains("passwd") || body.contains("/tmp") || body.contains("dev.lacuna") || body.contains("Exception"),
                    body);
        }
    }
}
