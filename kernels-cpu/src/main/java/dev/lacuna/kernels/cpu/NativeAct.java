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
    /** Beside the codes of a block: its scale, the scale times their sum, the sums of both halves, and that of all codes before. */
    private static final int BESIDE = 20;
    /** Rows that far apart share few places of a cache. */
    private static final int CROWDED = 1024;

    private final int cols;
    private final InputPolicy policy;
    private final MemorySegment floats;
    private final @Nullable MemorySegment codes;
    private Input packed;

    NativeAct(int rows, int cols, InputPolicy policy, NativeMemory memory, Arena arena) {
        this.cols = cols;
        this.policy = policy;
        floats = memory.allocate(Math.multiplyExact((long) rows * Float.BYTES, padded()), arena);
        long widest = Math.max(codeBytes(policy.fewRows()), codeBytes(policy.manyRows()));
        codes = widest > 0 ? memory.allocate(Math.multiplyExact((long) rows, widest), arena) : null;
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

    private long codeBytes(Input input) {
        long n = switch (input) {
            case Input.F32 f32 -> 0;
            case Input.Bf16 bf16 -> 2L * padded();
            case Input.I8 i8 -> padded() + (long) padded() / BLOCK * BESIDE + Integer.BYTES;
        };
        long aligned = (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        return aligned > 0 && aligned % CROWDED == 0 ? aligned + ALIGNMENT : aligned;
    }

    /** Bytes of a packed row as the latest writer packed it; 0 where it wrote floats. */
    long codeBytes() {
        return codeBytes(packed);
    }

    /** What the latest writer packed. */
    Input packed() {
        return packed;
    }

    /** Whether the latest writer packed. */
    boolean codesCurrent() {
        return !(packed instanceof Input.F32);
    }

    /** Whether writers of parts of a row leave floats, since a scale is that of more than a block: {@code quantize} is to follow. */
    boolean waits() {
        return packed instanceof Input.I8 i8 && i8.block() != BLOCK;
    }

    /** Says that {@code n} rows are about to be written, and packed as the policy has it. */
    void begin(int n) {
        packed = policy.of(n);
    }

    long size() {
        return floats.byteSize() + (codes == null ? 0 : codes.byteSize());
    }
}
