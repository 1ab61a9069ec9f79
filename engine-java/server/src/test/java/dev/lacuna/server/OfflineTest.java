package dev.lacuna.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.TinyModel;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A server makes no connection of its own (S5): it works where there is no network, and the kernel counts none. */
class OfflineTest {
    @TempDir
    Path folder;

    private static String run(List<String> command) throws IOException, InterruptedException {
        Process p = new ProcessBuilder(command).redirectErrorStream(true).start();
        String out = new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(p.waitFor(60, TimeUnit.SECONDS), out);
        return out;
    }

    /** A counter of /proc/net/snmp. */
    private static long counter(String snmp, String protocol, String name) {
        List<String> lines = snmp.lines().filter(l -> l.startsWith(protocol + ": ")).toList();
        int at = Arrays.asList(lines.get(0).split(" ")).indexOf(name);
        return Long.parseLong(lines.get(1).split(" ")[at]);
    }

    @Test
    void aServerCallsNobody() throws Exception {
        List<String> namespace = List.of("unshare", "-rn", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh");
        List<String> probe = new ArrayList<>(namespace);
        probe.addAll(List.of("echo", "possible"));
        String possible;
        try {
            possible = run(probe);
        } catch (IOException e) {
            possible = e.toString();
        }
        String why = possible;
        Assumptions.assumeTrue(possible.contains("possible"), () -> "skipped: no network namespace can be made here: " + why);
        List<String> command = new ArrayList<>(namespace);
        command.addAll(ServerProcess.command(List.of("-Djdk.httpclient.keepalive.timeout=1"),
                TinyModel.write(folder.resolve("tiny.gguf"), TestServer.CONTEXT).toString(), "1000",
                "1000000", "self"));
        String out = run(command);
        assertEquals(2, out.lines().filter(l -> l.equals("status 200")).count(), out);
        long connects = counter(out, "Tcp", "ActiveOpens");
        assertTrue(connects == 1 || connects == 2, "the two requests were the only connections, not " + connects + " of them: " + out);
        assertEquals(0, counter(out, "Udp", "OutDatagrams"), "no name was looked up");
        assertEquals(0, counter(out, "Ip", "OutNoRoutes"), "nothing was sent elsewhere");
    }
}
