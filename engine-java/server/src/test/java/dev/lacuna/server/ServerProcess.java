package dev.lacuna.server;

import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import dev.lacuna.ops.InputPolicy;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** A server in a process of its own, as {@code lacuna serve} starts it. */
final class ServerProcess implements AutoCloseable {
    private final Process process;
    final URI uri;
    final List<String> output = new ArrayList<>();

    private ServerProcess(Process process, BufferedReader out) throws IOException {
        this.process = process;
        String line = out.readLine();
        while (line != null && !line.startsWith("at ")) {
            output.add(line);
            line = out.readLine();
        }
        if (line == null) throw new IOException("the server did not start: " + output);
        uri = URI.create(line.substring(3));
        Thread.ofVirtual().start(() -> out.lines().forEach(l -> {
            synchronized (output) {
                output.add(l);
            }
        }));
    }

    /** The command that starts one with flags of the JVM and the main's arguments. */
    static List<String> command(List<String> flags, String... args) {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-XX:+UseSerialGC"));
        command.addAll(flags);
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), ServerProcess.class.getName()));
        command.addAll(List.of(args));
        return command;
    }

    static ServerProcess start(List<String> flags, String... args) throws IOException {
        Process p = new ProcessBuilder(command(flags, args)).redirectErrorStream(true).start();
        return new ServerProcess(p, new BufferedReader(new InputStreamReader(p.getInputStream(), StandardCharsets.UTF_8)));
    }

    /** SIGTERM. */
    void terminate() {
        process.destroy();
    }

    /** The status with which it ended; empty: it still runs. */
    Optional<Integer> ended(Duration longest) throws InterruptedException {
        return process.waitFor(longest) ? Optional.of(process.exitValue()) : Optional.empty();
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }

    /** {@code model drainMillis bodyBytes [self]}: serves; with {@code self} calls itself, prints what the kernel counted, and ends. */
    public static void main(String[] args) throws Exception {
        Options options = Options.DEFAULT.withContext(TestServer.CONTEXT).withSessions(33).withActivations(InputPolicy.F32).withThreads(1);
        ServerOptions serving = ServerOptions.DEFAULT.withPort(0).withLimits(ServerLimits.DEFAULT
                .withDrainTimeout(Duration.ofMillis(Long.parseLong(args[1]))).withBytes(16 << 10, Integer.parseInt(args[2])));
        LacunaServer server = LacunaServer.start(List.of(new ServedModel("tiny", () -> Lacuna.open(Path.of(args[0]), options))), serving);
        Runtime.getRuntime().addShutdownHook(new Thread(server::close));
        server.load();
        System.out.println("at " + server.uri());
        if (args.length > 3) {
            callItself(server.uri());
            System.exit(0);
        }
        Thread.currentThread().join();
    }

    private static void callItself(URI uri) throws Exception {
        try (HttpClient http = HttpClient.newHttpClient()) {
            for (String body : List.of(TestServer.chat("hi", "\"max_tokens\":5"),
                    TestServer.chat("hi", "\"max_tokens\":5,\"stream\":true"))) {
                HttpRequest r = HttpRequest.newBuilder(uri.resolve(TestServer.CHAT)).header("Content-Type", "application/json")
                        .timeout(Duration.ofSeconds(60)).POST(HttpRequest.BodyPublishers.ofString(body))
                        .version(HttpClient.Version.HTTP_1_1).build();
                System.out.println("status " + http.send(r, HttpResponse.BodyHandlers.ofString()).statusCode());
            }
        }
        for (String line : Files.readAllLines(Path.of("/proc/net/snmp"))) System.out.println(line);
    }
}
