package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Logits;
import dev.lacuna.ops.TopK;
import dev.lacuna.ops.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Operands outside the heap, of one arena. */
final class CpuWorkspace implements Workspace {
    private static final long ALIGNMENT = 64;

    private final Limits limits;
    private final CpuOps ops;
    private final Arena arena = Arena.ofShared();
    private long bytes;
    private boolean closed;

    /** Scores {@code [logitRows x vocabulary]}. */
    record Scores(int vocabulary, int rows, MemorySegment v) implements Logits {}

    record Best(int k, int[] id) implements TopK {}

    CpuWorkspace(Limits limits, CpuOps ops) {
        this.limits = limits;
        this.ops = ops;
    }

    @Override
    public Limits limits() {
        return limits;
    }

    @Override
    public Act act(int cols, InputPolicy policy) {
        CpuAct act = new CpuAct(limits.rows(), cols, policy, arena);
        ops.reserve(limits.rows(), cols);
        bytes += act.size();
        return act;
    }

    @Override
    public Logits logits(int vocabulary) {
        long size = Math.multiplyExact((long) limits.logitRows() * Float.BYTES, vocabulary);
        bytes += size;
        return new Scores(vocabulary, limits.logitRows(), arena.allocate(size, ALIGNMENT));
    }

    @Override
    public TopK topK(int k) {
        int[] id = new int[Math.multiplyExact(limits.logitRows(), k)];
        bytes += (long) id.length * Integer.BYTES;
        return new Best(k, id);
    }

    @Override
    public long bytes() {
        return bytes;
    }

    @Override
    public void close() {
        if (closed) return;
        closed = true;
        arena.close();
    }
}
