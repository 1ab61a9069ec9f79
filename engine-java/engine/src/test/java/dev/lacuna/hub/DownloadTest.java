package dev.lacuna.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class DownloadTest {
    static final Limits QUICK = new Limits(Duration.ofSeconds(2), Duration.ofSeconds(2), Duration.ofMillis(400), Duration.ofSeconds(10), 4,
            Duration.ofMillis(5));
    private static final String TAG = "\"v1\"";
    private static final byte[] CONTENT = random(300_000, 7);
    private static final String SHA = sha256(CONTENT);

    @TempDir
    Path folder;
    private final Watcher watcher = new Watcher();

    static byte[] random(int bytes, long seed) {
        byte[] content = new byte[bytes];
        new Random(seed).nextBytes(content);
        return content;
    }

    static String sha256(byte[] content) {
        return HexFormat.of().formatHex(Names.sha256().digest(content));
    }

    private Path target() {
        return folder.resolve("model.gguf");
    }

    private String fetch(LoopbackServer server, @Nullable String sha256, Progress progress) throws Exception {
        return fetch(server.address("/model.gguf"), null, CONTENT.length, sha256, progress);
    }

    private String fetch(String address, @Nullable String token, long bytes, @Nullable String sha256, Progress progress) throws Exception {
        try (Web web = new Web(new Environment(Map.of()), QUICK)) {
            return Download.fetch(web, new Download.Wanted(URI.create(address), token, target(), bytes, sha256), progress);
        }
    }

    private void assertWhole() throws Exception {
        assertArrayEquals(CONTENT, Files.readAllBytes(target()));
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(1, files.count(), "nothing but the file is left");
        }
        assertEquals(0, watcher.open);
    }

    /** What a server does to the first request; later ones it answers well. */
    private static Stream<Named<LoopbackServer.Handler>> passingFaults() {
        int half = CONTENT.length / 2;
        return Stream.of(
                Named.of("truncation", (_, reply) -> reply.head(200, "ETag", TAG, "Content-Length", CONTENT.length).body(CONTENT, 0, half)),
                Named.of("reset", (_, reply) -> {
                    reply.head(200, "ETag", TAG, "Content-Length", CONTENT.length).body(CONTENT, 0, half);
                    Thread.sleep(50);
                    reply.reset();
                }), Named.of("reset before any answer", (_, reply) -> reply.reset()), Named.of("stall", (_, reply) -> {
                    reply.head(200, "ETag", TAG, "Content-Length", CONTENT.length).body(CONTENT, 0, half);
                    Thread.sleep(1500);
                }), Named.of("500", (_, reply) -> reply.text(500, "oh")),
                Named.of("503", (_, reply) -> reply.text(503, "oh", "Retry-After", "0")),
                Named.of("429", (_, reply) -> reply.text(429, "oh")),
                Named.of("no HTTP", (_, reply) -> reply.body("garbage\r\n\r\n".getBytes(), 0, 11)));
    }

    @ParameterizedTest
    @MethodSource("passingFaults")
    void aPassingFaultCostsOneMoreRequest(LoopbackServer.Handler fault) throws Exception {
        AtomicInteger requests = new AtomicInteger();
        try (LoopbackServer server = new LoopbackServer((request, reply) -> {
            if (requests.getAndIncrement() == 0) fault.handle(request, reply);
            else
                reply.file(request, CONTENT, TAG);
        })) {
            assertEquals(SHA, fetch(server, null, watcher));
            assertEquals(2, server.requests.size());
            // at worst the JDK drops what it had read of the first answer when the connection broke
            assertTrue(server.bodyBytes.get() <= CONTENT.length * 3 / 2 + 11, server.bodyBytes + " bytes sent");
            assertWhole();
        }
    }

    /** What a server does to a request that wants to resume. */
    private static Stream<Named<LoopbackServer.Handler>> wrongResumptions() {
        int length = CONTENT.length;
        byte[] foreign = random(length, 8);
        return Stream.of(
                Named.of("200 instead of 206",
                        (_, reply) -> reply.head(200, "ETag", TAG, "Content-Length", length).body(CONTENT, 0, length)),
                Named.of("another range",
                        (_, reply) -> reply
                                .head(206, "ETag", TAG, "Content-Length", length - 10, "Content-Range",
                                        "bytes 10-" + (length - 1) + "/" + length)
                                .body(foreign, 10, length)),
                Named.of("another total",
                        (request, reply) -> reply
                                .head(206, "ETag", TAG, "Content-Length", length - request.from(), "Content-Range",
                                        "bytes " + request.from() + "-" + length + "/" + (length + 1))
                                .body(foreign, request.from(), length)),
                Named.of("no range",
                        (request, reply) -> reply.head(206, "ETag", TAG, "Content-Length", length - request.from()).body(foreign,
                                request.from(), length)),
                Named.of("changed tag", (request, reply) -> reply
                        .head(206, "ETag", "\"v2\"", "Content-Length", length - request.from(), "Content-Range",
                                "bytes " + request.from() + "-" + (length - 1) + "/" + length)
                        .body(foreign, request.from(), length)),
                Named.of("416", (_, reply) -> reply.text(416, "no")));
    }

    @ParameterizedTest
    @MethodSource("wrongResumptions")
    void aWrongResumptionStartsOver(LoopbackServer.Handler fault) throws Exception {
        AtomicInteger ranges = new AtomicInteger();
        AtomicInteger requests = new AtomicInteger();
        try (LoopbackServer server = new LoopbackServer((request, reply) -> {
            if (requests.getAndIncrement() == 0) {
                reply.head(200, "ETag", TAG, "Content-Length", CONTENT.length).body(CONTENT, 0, 100_000).breakLater();
            } else if (request.from() > 0 && ranges.getAndIncrement() == 0) {
                assertEquals(TAG, request.header("If-Range"));
                fault.handle(request, reply);
            } else {
                reply.file(request, CONTENT, TAG);
            }
        })) {
            // no sha256: what was wrong must be seen from the headers alone
            assertEquals(SHA, fetch(server, null, watcher));
            assertEquals(1, ranges.get(), "the fault was met");
            assertWhole();
        }
    }

    @Test
    void aFileThatChangesMidWayIsFetchedWhole() throws Exception {
        byte[] old = random(CONTENT.length, 9);
        AtomicInteger requests = new AtomicInteger();
        try (LoopbackServer server = new LoopbackServer((request, reply) -> {
            if (requests.getAndIncrement() == 0)
                reply.head(200, "ETag", "\"v0\"", "Content-Length", old.length).body(old, 0, 120_000).breakLater();
            else
                reply.file(request, CONTENT, TAG);
        })) {
            assertEquals(SHA, fetch(server, SHA, watcher));
            assertTrue(watcher.said("changed on the server"), watcher.notices.toString());
            assertWhole();
        }
    }

    @Test
    void resumesAtEveryByteAfterAKill() throws Exception {
        long seed = 20260729;
        Random random = new Random(seed);
        for (int round = 0; round < 20; round++) {
            long killAt = 1 + random.nextInt(CONTENT.length - 1);
            try (LoopbackServer server = new LoopbackServer((request, reply) -> reply.file(request, CONTENT, TAG))) {
                assertThrows(Watcher.Killed.class, () -> fetch(server, SHA, new Watcher().killAt(killAt)));
                assertFalse(Files.exists(target()), "no partial file under the final name");
                long kept = Files.size(Sink.incomplete(target()));
                assertTrue(kept >= killAt, "seed " + seed + ": killed at " + killAt + ", kept " + kept);
                assertEquals(SHA, fetch(server, SHA, watcher));
                // all that was written is kept: not one byte is asked for twice
                if (kept < CONTENT.length) assertEquals(kept, server.requests.getLast().from());
                else
                    assertEquals(1, server.requests.size());
                assertWhole();
                Files.delete(target());
            }
        }
    }

    @Test
    void withoutATagOrSha256NothingIsResumed() throws Exception {
        try (LoopbackServer server = new LoopbackServer(
                (_, reply) -> reply.head(200, "Content-Length", CONTENT.length).body(CONTENT, 0, CONTENT.length))) {
            assertThrows(Watcher.Killed.class, () -> fetch(server, null, new Watcher().killAt(1000)));
            assertEquals(SHA, fetch(server, null, watcher));
            assertNull(server.requests.getLast().header("Range"));
            assertWhole();
        }
    }

    @Test
    void aSpoiltStartIsFoundByItsSha256AndFetchedAgain() throws Exception {
        try (LoopbackServer server = new LoopbackServer((request, reply) -> reply.file(request, CONTENT, TAG))) {
            byte[] spoilt = Arrays.copyOf(CONTENT, 50_000);
            spoilt[17] ^= 1;
            Files.write(Sink.incomplete(target()), spoilt);
            assertEquals(SHA, fetch(server, SHA, watcher));
            assertTrue(watcher.said("once more from the start"), watcher.notices.toString());
            assertWhole();
        }
    }

    @Test
    void aWrongSha256IsSaidAndTheFileRemoved() throws Exception {
        String other = sha256(new byte[1]);
        try (LoopbackServer server = new LoopbackServer((request, reply) -> reply.file(request, CONTENT, TAG))) {
            FetchException wrong = assertThrows(FetchException.class, () -> fetch(server, other, watcher));
            assertTrue(wrong.getMessage().contains(SHA) && wrong.getMessage().contains(other) && wrong.getMessage().contains("removed"),
                    wrong.getMessage());
            try (Stream<Path> left = Files.list(folder)) {
                assertEquals(0, left.count());
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 1})
    void aWrongLengthIsRefusedBeforeTheFirstByte(int difference) throws Exception {
        try (LoopbackServer server = new LoopbackServer((request, reply) -> reply.file(request, CONTENT, TAG))) {
            FetchException wrong = assertThrows(FetchException.class,
                    () -> fetch(server.address("/m"), null, CONTENT.length + difference, SHA, watcher));
            assertTrue(wrong.getMessage().contains("were expected"), wrong.getMessage());
            assertEquals(1, server.requests.size(), "asking again would not help");
            assertFalse(Files.exists(target()));
        }
    }

    @Test
    void moreBytesThanTheFileHasAreRefused() throws Exception {
        try (LoopbackServer server = new LoopbackServer((_, reply) -> {
            reply.head(200, "Transfer-Encoding", "chunked");
            byte[] chunk = ("80000\r\n" + "x".repeat(0x80000) + "\r\n0\r\n\r\n").getBytes();
            reply.body(chunk, 0, chunk.length);
        })) {
            assertTrue(assertThrows(FetchException.class, () -> fetch(server, null, watcher)).getMessage().contains("sends more"));
            assertFalse(Files.exists(target()));
        }
    }

    @Test
    void aServerThatNeverSaysTheLengthIsRefused() throws Exception {
        try (LoopbackServer server = new LoopbackServer((_, reply) -> reply.head(200).body(CONTENT, 0, 1000))) {
            FetchException refused = assertThrows(FetchException.class, () -> fetch(server.address("/m"), null, -1, null, watcher));
            assertTrue(refused.getMessage().contains("how long"), refused.getMessage());
        }
    }

    @Test
    void aServerThatAlwaysCutsIsGivenUpAndWhatCameIsKept() throws Exception {
        try (LoopbackServer server = new LoopbackServer((request, reply) -> {
            if (request.from() > 0) reply.text(500, "no");
            else
                reply.head(200, "ETag", TAG, "Content-Length", CONTENT.length).body(CONTENT, 0, 100_000).breakLater();
        })) {
            FetchException gaveUp = assertThrows(FetchException.class, () -> fetch(server, SHA, watcher));
            assertTrue(gaveUp.getMessage().contains("given up after 4 attempts"), gaveUp.getMessage());
            assertEquals(100_000, Files.size(Sink.incomplete(target())));
            // the JDK sometimes drops what it had read when the connection breaks; then the first cut counts twice
            assertTrue(server.requests.size() == 4 || server.requests.size() == 5, server.requests.toString());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {401, 403, 404})
    void aRefusalIsFinal(int status) throws Exception {
        try (LoopbackServer server = new LoopbackServer((_, reply) -> reply.text(status, "no"))) {
            FetchException refused = assertThrows(FetchException.class, () -> fetch(server, SHA, watcher));
            assertTrue(refused.getMessage().contains(String.valueOf(status)), refused.getMessage());
            assertEquals(1, server.requests.size());
        }
    }

    @Test
    void theTokenStaysWithItsHost() throws Exception {
        try (LoopbackServer storage = new LoopbackServer((request, reply) -> reply.file(request, CONTENT, TAG));
                LoopbackServer hub = new LoopbackServer((request, reply) -> {
                    if (request.target().equals("/moved")) reply.text(302, "", "Location", storage.address("/blob"));
                    else
                        reply.text(307, "", "Location", "/moved");
                })) {
            assertEquals(SHA, fetch(hub.address("/model.gguf"), "hf_secret", CONTENT.length, SHA, watcher));
            assertEquals("Bearer hf_secret", hub.requests.getFirst().header("Authorization"));
            assertEquals("Bearer hf_secret", hub.requests.getLast().header("Authorization"), "a redirect within the host keeps it");
            assertEquals(1, storage.requests.size());
            assertNull(storage.requests.getFirst().header("Authorization"));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"http://example.invalid/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "https://u:p@127.0.0.1/x", "::", ""})
    void aRedirectToSomewhereElseIsRefused(String location) throws Exception {
        try (LoopbackServer server = new LoopbackServer((_, reply) -> reply.text(302, "", "Location", location))) {
            FetchException refused = assertThrows(FetchException.class, () -> fetch(server, SHA, watcher));
            assertTrue(refused.getMessage().contains("redirect"), refused.getMessage());
        }
    }

    @Test
    void aFullDiskIsFatalAndNamesTheWayOut() throws Exception {
        Path full = Path.of("/dev/full");
        assumeTrue(Files.exists(full), "this system has no /dev/full");
        Files.createSymbolicLink(Sink.incomplete(target()), full);
        try (LoopbackServer server = new LoopbackServer((request, reply) -> reply.file(request, CONTENT, TAG))) {
            FetchException.Fatal failed = assertThrows(FetchException.Fatal.class, () -> fetch(server, SHA, watcher));
            assertTrue(failed.getMessage().contains("LACUNA_HOME"), failed.getMessage());
            assertFalse(Files.exists(target()));
            assertEquals(1, server.requests.size());
        }
    }

    @Test
    void aPlaceThatIsNoFolderIsFatal() throws Exception {
        Path file = Files.writeString(folder.resolve("file"), "x");
        FetchException.Fatal failed = assertThrows(FetchException.Fatal.class, () -> Sink.resume(file.resolve("model.gguf")));
        assertTrue(failed.getMessage().contains("cannot write"), failed.getMessage());
    }

    @Test
    void whatCannotFitIsRefusedBeforehand() throws Exception {
        try (LoopbackServer server = new LoopbackServer(
                (_, reply) -> reply.head(200, "ETag", TAG, "Content-Length", 1L << 59).body(CONTENT, 0, 1000))) {
            FetchException.Fatal refused = assertThrows(FetchException.Fatal.class,
                    () -> fetch(server.address("/m"), null, -1, null, watcher));
            assertTrue(refused.getMessage().contains("are free"), refused.getMessage());
        }
    }
}
