package dev.lacuna.kernels.opencl;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Logits;
import dev.lacuna.ops.RowSet;
import dev.lacuna.ops.TopK;
import dev.lacuna.ops.Workspace;
import java.util.ArrayList;
import java.util.List;

/** Operands of one model on the device. */
final class ClWorkspace implements Workspace {
    private final Limits limits;
    private final DeviceMemory memory;
    private final List<ClAct> acts = new ArrayList<>();
    private final List<Best> best = new ArrayList<>();
    private final List<ClRowSet> sets = new ArrayList<>();

    /** Scores {@code [rows of the last step x vocabulary]}. */
    static final class Scores implements Logits {
        final ClAct v;
        int rows;

        Scores(ClAct v) {
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
        final DeviceMemory.Buffer ids;
        int rows;

        Best(int k, DeviceMemory.Buffer ids) {
            this.k = k;
            this.ids = ids;
        }

        @Override
        public int k() {
            return k;
        }
    }

    ClWorkspace(Limits limits, DeviceMemory memory) {
        this.limits = limits;
        this.memory = memory;
    }

    @Override
    public Limits limits() {
        return limits;
    }

    private ClAct act(int rows, int cols, InputPolicy policy) {
        ClAct act = new ClAct(rows, cols, policy, memory);
        acts.add(act);
        return act;
    }

    @Override
    public Act act(int cols, InputPolicy policy) {
        policy.require("an activation of " + cols + " columns", "OpenCL", Layout.INPUTS);
        return act(limits.rows(), cols, policy);
    }

    @Override
    public Logits logits(int vocabulary) {
        return new Scores(act(limits.logitRows(), vocabulary, InputPolicy.F32));
    }

    @Override
    public TopK topK(int k) {
        Best b = new Best(k, memory.allocate("the best " + k + " tokens",
                Math.multiplyExact((long) limits.logitRows() * Integer.BYTES, k)));
        best.add(b);
        return b;
    }

    @Override
    public RowSet rowSet(int capacity) {
        ClRowSet set = new ClRowSet(capacity, memory);
        sets.add(set);
        return set;
    }

    @Override
    public long bytes() {
        return acts.stream().mapToLong(ClAct::bytes).sum() + best.stream().mapToLong(b -> b.ids.bytes()).sum()
                + sets.stream().mapToLong(s -> s.data().bytes()).sum();
    }

    @Override
    public void close() {
        acts.forEach(a -> a.free(memory));
        best.forEach(b -> memory.free(b.ids));
        sets.forEach(s -> memory.free(s.data()));
        acts.clear();
        best.clear();
        sets.clear();
    }
}
