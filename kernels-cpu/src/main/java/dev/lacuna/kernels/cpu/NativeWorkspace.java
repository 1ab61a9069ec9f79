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
final class NativeWorkspace implements Workspace {
    private final Limits limits;
    private final NativeOps ops;
    private final Arena arena = Arena.ofShared();
    private long bytes;
    private boolean closed;

    /** Scores {@code [rows of the last step x vocabulary]}. */
    static final class Scores implements Logits {
        final NativeAct v;
        int rows;

        Scores(NativeAct v) {
            this.v = v;
        }

        @Override
        public int vocabulary() {
            return v.cols();
        }
    }

    /** The best tokens {@code [rows of the last step x k]}. */
    static final class Best implements TopK {
        final int k;
        final MemorySegment ids;
        int rows;

        Best(int k, MemorySegment ids) {
            this.k = k;
            this.ids = ids;
        }

        @Override
        public int k() {
            return k;
        }
    }

    NativeWorkspace(Limits limits, NativeOps ops) {
        this.limits = limits;
        this.ops = ops;
        ops.reserveRows(limits);
    }

    @Override
    public Limits limits() {
        return limits;
    }

    @Override
    public Act act(int cols, InputPolicy policy) {
        ops.reserve(cols);
        return counted(new NativeAct(limits.rows(), cols, policy, ops.memory(), arena));
    }

    private NativeAct counted(NativeAct a) {
        bytes += a.size();
        return a;
    }

    @Override
    public Logits logits(int vocabulary) {
        return new Scores(counted(new NativeAct(limits.logitRows(), vocabulary, InputPolicy.F32, ops.memory(), arena)));
    }

    @Override
    public TopK topK(int k) {
        long n = Math.multiplyExact((long) limits.logitRows() * Integer.BYTES, k);
        bytes += n;
        return new Best(k, ops.memory().allocate(n, arena));
    }

    @Override
    public RowSet rowSet(int capacity) {
        ChosenRows set = new ChosenRows(capacity, ops.memory(), arena);
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
