package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.MachineRates;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** Measures the machine with the team that runs the kernels and the widest instructions of their tier. */
final class NativeRates implements MachineRates {
    /** Parts of each thread in a pass, so that a busy core stalls nobody. */
    private static final int PARTS = 4;
    /** A pass reads at least this much and multiplies at least this often, some 10 ms. */
    private static final long LEAST_BYTES = 1L << 28;
    private static final long TURNS = 1L << 20;
    private static final int PAGE = 4096;

    private final Team team;
    private final MethodHandle read;
    private final MethodHandle multiply;
    private final MethodHandle multiplyBrain;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;
    private boolean closed;

    NativeRates(NativeLibrary library, String isa, Team team) {
        this.team = team;
        read = library.tiered("lacuna_read", isa, 2);
        multiply = library.tiered("lacuna_multiply", isa, 1);
        multiplyBrain = library.tiered("lacuna_multiply_brain", isa, 1);
        memory = library.weights(LARGE, arena);
        // pages that were never written are all the same page of zeros
        for (long at = 0; at < LARGE; at += PAGE) memory.set(ValueLayout.JAVA_BYTE, at, (byte) 1);
    }

    @Override
    public double bytesPerSecond(long buffer) {
        if (buffer < 1 || buffer > LARGE) throw new IllegalArgumentException("a buffer of " + buffer + " bytes; 1 to " + LARGE);
        requireOpen();
        int slices = PARTS * team.threads();
        // whole pages, so that no line is read twice
        long slice = Math.max(PAGE, buffer / slices / PAGE * PAGE);
        int used = Math.clamp(buffer / slice, 1, slices);
        int turns = Math.toIntExact((LEAST_BYTES + used * slice - 1) / (used * slice));
        long address = memory.address();
        long begun = System.nanoTime();
        team.run(turns * used, (part, worker) -> call(read, address + part % used * slice, slice));
        return (double) turns * used * slice * 1e9 / (System.nanoTime() - begun);
    }

    @Override
    public double int8PerSecond() {
        return perSecond(multiply);
    }

    @Override
    public double bf16PerSecond() {
        return perSecond(multiplyBrain);
    }

    private double perSecond(MethodHandle loop) {
        requireOpen();
        int parts = PARTS * team.threads();
        long[] done = new long[parts];
        long begun = System.nanoTime();
        team.run(parts, (part, worker) -> done[part] = call(loop, TURNS));
        long nanos = System.nanoTime() - begun;
        double operations = 0;
        for (long d : done) operations += d;
        return operations * 1e9 / nanos;
    }

    private static long call(MethodHandle f, long p, long n) {
        try {
            return (long) f.invokeExact(p, n);
        } catch (Throwable e) {
            throw NativeLibrary.failure(e);
        }
    }

    private static long call(MethodHandle f, long n) {
        try {
            return (long) f.invokeExact(n);
        } catch (Throwable e) {
            throw NativeLibrary.failure(e);
        }
    }

    private void requireOpen() {
        if (closed) throw new IllegalStateException("the measuring memory is closed");
    }

    @Override
    public void close() {
        if (closed) return;
        closed = true;
        arena.close();
    }
}
