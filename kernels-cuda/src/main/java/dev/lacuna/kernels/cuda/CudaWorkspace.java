package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Logits;
import dev.lacuna.ops.RowSet;
import dev.lacuna.ops.TopK;
import dev.lacuna.ops.UnsupportedKernelException;
import dev.lacuna.ops.Workspace;
import java.util.HashMap;
import java.util.Map;

/** The operands of one model in one arena, and the scratch of the kernels that work on them. */
final class CudaWorkspace implements Workspace {
    private final Limits limits;
    private final CudaOps ops;
    private final DeviceArena arena;
    private final Map<String, Long> scratch = new HashMap<>();
    private boolean closed;

    CudaWorkspace(Limits limits, CudaOps ops) {
        this.limits = limits;
        this.ops = ops;
        arena = new DeviceArena(ops.device());
    }

    long zeros(long bytes, String what) {
        return arena.zeros(bytes, what);
    }

    /**
     * Scratch that is asked for with the same size each time, since recorded steps keep its address.
     *
     * @param key what for, its size's variables among it
     */
    long scratch(String key, long bytes) {
        return scratch.computeIfAbsent(key, k -> arena.zeros(bytes, "scratch of " + k));
    }

    @Override
    public Limits limits() {
        return limits;
    }

    @Override
    public Act act(int cols, InputPolicy policy) {
        ops.device().enter();
        policy.require("an activation of " + cols + " columns", "CUDA", CudaOps.INPUTS);
        return new CudaAct(cols, policy, this);
    }

    @Override
    public Logits logits(int vocabulary) {
        ops.device().enter();
        return new CudaLogits(vocabulary, this);
    }

    @Override
    public TopK topK(int k) {
        ops.device().enter();
        return new CudaTopK(k, this);
    }

    @Override
    public RowSet rowSet(int capacity) {
        ops.device().enter();
        if (ops.gathers().isEmpty())
            throw new UnsupportedKernelException("this build has no CUDA kernels that gather rows; use --kernels native");
        return new CudaRowSet(capacity, this);
    }

    @Override
    public long bytes() {
        return arena.bytes();
    }

    @Override
    public void close() {
        if (closed) return;
        closed = true;
        ops.forgetSteps();
        arena.close();
    }
}
