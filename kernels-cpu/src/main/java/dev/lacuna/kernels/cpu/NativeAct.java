package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** An activation outside the heap: floats, and beside them packed rows where its policy packs, see {@code struct act}. */
final class NativeAct implements Act {
    private static final int BLOCK = 32;
    private static final int ALIGNMENT = 64;
    /** Beside the codes of a block: its scale, the scale times their sum, and the sums of both halves. */
    private static final int BESIDE = 16;

    private final int cols;
    private final InputPolicy policy;
    private final MemorySegment floats;
    private final @Nullable MemorySegment codes;
    private Input packed;

    NativeAct(int rows, int cols, InputPolicy policy, NativeMemory memory, Arena arena) {
        this.cols = cols;
        this.policy = policy;
        floats = memory.allocate(Math.multiplyExact((long) rows * Float.BYTES, padded()), arena);
        boolean packs = policy.fewRows() instanceof Input.I8 || policy.manyRows() instanceof Input.I8;
        codes = packs ? memory.allocate(Math.multiplyExact((long) rows, codeBytes()), arena) : null;
        packed = policy.fewRows();
    }

    static int padded(int n) {
        return Math.addExact(n, BLOCK - 1) / BLOCK * BLOCK;
    }

    @Override
    public int cols() {
        return cols;
    }

    @Override
    public InputPolicy policy() {
        return policy;
    }

    /** Columns with padding. */
    int padded() {
        return padded(cols);
    }

    MemorySegment floats() {
        return floats;
    }

    @Nullable
    MemorySegment codes() {
        return codes;
    }

    /** Bytes of a packed row. */
    long codeBytes() {
        long n = padded() + (long) padded() / BLOCK * BESIDE;
        return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /** Whether the latest writer packed. */
    boolean codesCurrent() {
        return packed instanceof Input.I8;
    }

    /** Says that {@code n} rows are about to be written, and packed as the policy has it. */
    void begin(int n) {
        packed = policy.of(n);
    }

    long size() {
        return floats.byteSize() + (codes == null ? 0 : codes.byteSize());
    }
}
