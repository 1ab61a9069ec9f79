package dev.lacuna.kernels.cpu;

import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import dev.lacuna.generate.Generation;
import dev.lacuna.generate.Sampling;
import dev.lacuna.ops.KvType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Opens and closes a model many times, then generates for some time in all manners at once, and prints the resident set all along. Its own program, so
 * that the heap's size can be fixed: what grows then was allocated outside. {@code docs/cpu-kernels.md} has the long form.
 */
public final class Soak {
    static final int POINTS = 20;

    private Soak() {}

    /** Arguments: model, opens, seconds of generating, whether every second model stays open. */
    public static void main(String[] args) throws Exception {
        Path model = Path.of(args[0]);
        int opens = Integer.parseInt(args[1]);
        long seconds = Long.parseLong(args[2]);
        boolean leaks = Boolean.parseBoolean(args[3]);
        SplittableRandom random = new SplittableRandom(7);
        for (int i = 0; i < opens; i++) {
            Lacuna opened = Lacuna.open(model, Options.DEFAULT.withContext(64).withKv(KvType.values()[i % KvType.values().length]));
            try (Generation g = opened.generate("Once", Sampling.GREEDY.withMaxTokens(3))) {
                if (i % 3 > 0) g.result();
            }
            if (!leaks || i % 2 > 0) opened.close();
            if ((i + 1) % Math.max(1, opens / POINTS) == 0) report("opened", i + 1);
        }
        if (seconds == 0) return;
        try (Lacuna opened = Lacuna.open(model, Options.DEFAULT.withContext(256).withSessions(4))) {
            long end = System.nanoTime() + seconds * 1_000_000_000;
            long step = seconds * 1_000_000_000 / POINTS;
            long next = System.nanoTime() + step;
            for (int n = 0; System.nanoTime() < end; n++) {
                mixed(opened, random);
                if (System.nanoTime() < next) continue;
                next += step;
                report("generated", n);
            }
        }
    }

    /** A few answers at once, short and long, greedy and not, some left in the middle. */
    private static void mixed(Lacuna model, SplittableRandom random) {
        List<Generation> all = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            Sampling s = Sampling.GREEDY.withMaxTokens(1 + random.nextInt(40)).withTemperature(random.nextInt(2))
                    .withSeed(random.nextLong());
            all.add(model.generate("Once upon a time there was a ".repeat(1 + random.nextInt(4)), s));
        }
        for (Generation g : all) {
            try (g) {
                if (random.nextInt(3) > 0) g.result();
            }
        }
    }

    private static void report(String what, int n) throws IOException {
        String resident = Files.readAllLines(Path.of("/proc/self/status")).stream().filter(l -> l.startsWith("VmRSS")).findFirst()
                .orElseThrow();
        System.out.println(what + " " + n + " " + resident.replaceAll("\\D", ""));
    }
}
