package dev.lacuna.kernels.cpu;

import dev.lacuna.benchmarks.Arguments;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.NullMarked;

/**
 * What it costs to hand an operation to the team of threads, in the package of the team, which nobody else sees. Two things are timed after pauses such
 * as lie between the operations of a step, in which the caller works and the others look for work, and after one so long that they have parked: a whole
 * operation of one empty part a thread, which is what each operation pays; and the time until all threads have begun a part, where the caller waits for
 * them, which it never does in earnest.
 */
@NullMarked
public final class HandOff {
    private static final long[] PAUSES = {0, 2_000, 20_000, 200_000};
    private static final int WARM = 50_000;

    private final int threads;
    private final int times;
    private final int busy;

    private HandOff(Arguments given) {
        threads = given.number("--threads", 2, 2);
        times = given.number("--times", 100_000, 1);
        busy = given.number("--busy", 0, 0);
        given.done();
    }

    /** Runs every case and prints a line for each. */
    public static void main(String[] args) throws IOException {
        new HandOff(new Arguments(args)).run();
    }

    private void run() throws IOException {
        System.out.printf("%d threads, %d operations each, %d busy processes beside them; microseconds%n", threads, times, busy);
        Team team = Team.of(threads);
        operations(team, 0, WARM);
        beginnings(team, 0, WARM);
        List<Process> others = new ArrayList<>();
        try {
            for (int i = 0; i < busy; i++) others.add(spinner());
            for (long pause : PAUSES) print("an operation of empty parts", pause, operations(team, pause, times));
            for (long pause : PAUSES) print("until all threads have begun", pause, beginnings(team, pause, times));
        } finally {
            others.forEach(Process::destroyForcibly);
        }
    }

    /** Ends by itself should this process be ended. */
    private static Process spinner() throws IOException {
        return new ProcessBuilder("sh", "-c", "while kill -0 " + ProcessHandle.current().pid() + "; do :; done").start();
    }

    private static void pause(long nanos) {
        long end = System.nanoTime() + nanos;
        // the caller of a step works meanwhile
        while (System.nanoTime() < end) Thread.onSpinWait();
    }

    private long[] operations(Team team, long pause, int n) {
        long[] took = new long[n];
        for (int i = 0; i < n; i++) {
            if (pause > 0) pause(pause);
            long begun = System.nanoTime();
            team.run(threads, (part, worker) -> {});
            took[i] = System.nanoTime() - begun;
        }
        return took;
    }

    private long[] beginnings(Team team, long pause, int n) {
        long[] took = new long[n];
        AtomicInteger there = new AtomicInteger();
        AtomicLong last = new AtomicLong();
        Team.Body body = (part, worker) -> {
            last.accumulateAndGet(System.nanoTime(), Math::max);
            there.incrementAndGet();
            while (there.get() < threads) Thread.onSpinWait();
        };
        for (int i = 0; i < n; i++) {
            if (pause > 0) pause(pause);
            there.set(0);
            last.set(0);
            long begun = System.nanoTime();
            team.run(threads, body);
            took[i] = last.get() - begun;
        }
        return took;
    }

    private static void print(String what, long pause, long[] took) {
        long[] sorted = took.clone();
        Arrays.sort(sorted);
        System.out.printf("%-30s after %3d: median %7.2f, p99 %8.2f, max %9.2f%n", what, pause / 1000, sorted[sorted.length / 2] / 1e3,
                sorted[(int) (sorted.length * 0.99)] / 1e3, sorted[sorted.length - 1] / 1e3);
    }
}
