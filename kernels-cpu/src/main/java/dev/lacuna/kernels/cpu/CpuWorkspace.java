package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Logits;
import dev.lacuna.ops.RowSet;
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

    /** Scores {@code [rows of the last step x vocabulary]}. */
    static final class Scores implements Logits {
        final int vocabulary;
        final MemorySegment v;
        int rows;

        Scores(int vocabulary, MemorySegment v) {
            this.vocabulary = vocabulary;
            this.v = v;
        }

        @Override
        public int vocabulary() {
            return vocabulary;
        }

        long at(int row) {
            return (long) row * vocabulary * Float.BYTES;
        }
    }

    /** The best tokens {@code [rows of the last step x k]}. */
    static final class Best implements TopK {
        final int k;
        final int[] id;
        int rows;

        Best(int k, int[] id) {
            this.k = k;
            this.id = id;
        }

        @Override
        public int k() {
            return k;
        }
    }

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
        return new Scores(vocabulary, arena.allocate(size, ALIGNMENT));
    }

    @Override
    public TopK topK(int k) {
        int[] id = new int[Math.multiplyExact(limits.logitRows(), k)];
        bytes += (long) id.length * Integer.BYTES;
        return new Best(k, id);
    }

    @Override
    public RowSet rowSet(int capacity) {
        ChosenRows set = new ChosenRows(capacity, NativeMemory::plain, arena);
        bytes += set.size();
        return set;
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
