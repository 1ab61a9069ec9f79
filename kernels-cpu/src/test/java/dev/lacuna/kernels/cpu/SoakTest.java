package dev.lacuna.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.TinyModel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Models that come and go leave nothing behind. {@code -Dlacuna.test.opens} and {@code -Dlacuna.test.seconds} make it long, {@code lacuna.test.soak}
 * names a model of your own.
 */
class SoakTest {
    private static final int FEW_OPENS = 200, OPENS = Integer.getInteger("lacuna.test.opens", FEW_OPENS);
    private static final int SECONDS = Integer.getInteger("lacuna.test.seconds", 10);
    /** What a virtual machine's own books may still grow by after the second quarter; the optimizing compiler, which takes and gives megabytes, is off. */
    private static final long GROWTH_KIB = 4 << 10;

    @TempDir
    private Path folder;

    private List<String> lines(boolean leaks, int seconds) throws Exception {
        NativeTier.name();
        assumeTrue(Files.isReadable(Path.of("/proc/self/status")), "the resident set is read from /proc");
        // what many or large models leave on the heap would end the process before anything is seen
        String own = leaks ? null : System.getProperty("lacuna.test.soak");
        Path model = own == null ? TinyModel.write(folder.resolve("tiny.gguf")) : Path.of(own);
        Path log = folder.resolve("log");
        ProcessBuilder java = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin/java").toString(), "-Xms96m", "-Xmx96m",
                "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "--enable-native-access=ALL-UNNAMED", "-cp",
                System.getProperty("java.class.path"),
                Soak.class.getName(), model.toString(), "" + (leaks ? FEW_OPENS : OPENS), "" + seconds, "" + leaks)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile());
        java.environment().put("MALLOC_ARENA_MAX", "1");
        Process p = java.start();
        assertEquals(0, p.waitFor(), () -> log(log));
        return Files.readAllLines(log);
    }

    private static String log(Path log) {
        try {
            return Files.readString(log);
        } catch (java.io.IOException e) {
            return e.toString();
        }
    }

    /** Whether the last quarter's least is no more than the second quarter's most, but for the virtual machine's own growth. */
    private static boolean flat(List<String> lines, String what) {
        long[] resident = lines.stream().filter(l -> l.startsWith(what)).mapToLong(l -> Long.parseLong(l.split(" ")[2])).toArray();
        assertTrue(resident.length >= Soak.POINTS - 2, () -> "too few readings: " + lines);
        int quarter = resident.length / 4;
        long before = 0;
        long after = Long.MAX_VALUE;
        for (int i = quarter; i < 2 * quarter; i++) before = Math.max(before, resident[i]);
        for (int i = resident.length - quarter; i < resident.length; i++) after = Math.min(after, resident[i]);
        return after <= before + GROWTH_KIB;
    }

    @Test
    void theResidentSetStaysFlat() throws Exception {
        List<String> lines = lines(false, SECONDS);
        assertTrue(flat(lines, "opened"), () -> String.join("\n", lines));
        assertTrue(flat(lines, "generated"), () -> String.join("\n", lines));
    }

    /** A check that finds no leak would let the test above pass. */
    @Test
    void aModelThatIsNotClosedIsSeen() throws Exception {
        List<String> lines = lines(true, 0);
        assertFalse(flat(lines, "opened"), () -> String.join("\n", lines));
    }
}
