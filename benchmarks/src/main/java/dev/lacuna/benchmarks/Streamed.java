package dev.lacuna.benchmarks;

import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.Use;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;

/** Weights in so many copies that no cache holds them, and a step of one row that meets one after the other. */
final class Streamed {
    /** One row. */
    static final Limits LIMITS = new Limits(1, 1, 1, 1);
    /** Tensors on the heap: every tier copies them when it places them. */
    static final SegmentAllocator HEAP = (bytes, align) -> MemorySegment.ofArray(new long[Math.toIntExact((bytes + 7) / 8)])
            .asSlice(0, bytes);

    private Streamed() {}

    static Batch batch() {
        Batch batch = new Batch(LIMITS);
        batch.clear(1);
        batch.addSequence(new int[]{1}, 1);
        batch.addRow(0, 0, false);
        return batch;
    }

    static float[] gaussian(Random random, int n, double scale) {
        float[] v = new float[n];
        for (int i = 0; i < n; i++) v[i] = (float) (random.nextGaussian() * scale);
        return v;
    }

    /** A matrix of single precision, zero-mean. */
    static Tensor matrix(Random random, int rows, int cols) {
        return new Tensor("w", Format.F32, rows, cols, MemorySegment.ofArray(gaussian(random, Math.multiplyExact(rows, cols), 0.02)));
    }

    static Linear place(CheckedOps ops, Tensor t, InputPolicy policy, Use use) {
        return new Linear(ops.place(List.of(t), policy, Set.of(use)).getFirst(), null);
    }

    /**
     * Copies that stream at least so many megabytes, or as many as two thirds of the memory that is free can hold, said aloud.
     *
     * @param bytes  of one copy
     * @param others how many such streams there are
     */
    static int copies(int megabytes, long bytes, int others) {
        long wanted = Math.max(1, (((long) megabytes << 20) + bytes - 1) / bytes);
        long fits = Math.max(2, free() / 3 * 2 / others / bytes);
        if (fits >= wanted) return Math.toIntExact(wanted);
        System.out.printf("memory for %d of %d copies: %d MB are streamed%n", fits, wanted, (fits * bytes) >> 20);
        return Math.toIntExact(fits);
    }

    private static long free() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
                if (line.startsWith("MemAvailable:")) return Long.parseLong(line.replaceAll("\\D", "")) << 10;
            }
        } catch (IOException e) {
            return Long.MAX_VALUE; // not Linux: the allocation itself will tell
        }
        return Long.MAX_VALUE;
    }

    static double median(double[] v) {
        double[] sorted = v.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    static double least(double[] v) {
        return Arrays.stream(v).min().orElseThrow();
    }

    static double most(double[] v) {
        return Arrays.stream(v).max().orElseThrow();
    }
}
