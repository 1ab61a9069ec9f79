package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * An activation outside the heap. Rows are padded with zeros to whole blocks. What is packed to bytes is kept as the floats that the bytes stand for:
 * without an instruction that sums products of bytes, which Java cannot reach, integer loops are no faster than loops of floats.
 */
final class CpuAct implements Act {
    /** Values that are packed at a time. */
    static final int BLOCK = 32;
    private static final long ALIGNMENT = 64;

    private final int cols;
    private final InputPolicy policy;
    private final MemorySegment floats;
    private Input packed;

    CpuAct(int rows, int cols, InputPolicy policy, Arena arena) {
        this.cols = cols;
        this.policy = policy;
        long n = Math.multiplyExact((long) rows, stride());
        floats = arena.allocate(Math.multiplyExact(n, Float.BYTES), ALIGNMENT);
        packed = policy.fewRows();
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
    int stride() {
        return Kernels.padded(cols);
    }

    MemorySegment floats() {
        return floats;
    }

    /** What the latest writer packed. */
    Input packed() {
        return packed;
    }

    /** Whether parts of a row have to wait for the rest of it, since a scale is that of more than a block. */
    boolean waits() {
        return packed instanceof Input.I8 i8 && i8.block() != BLOCK;
    }

    /** Says that {@code n} rows are about to be written, and returns what they are packed to. */
    Input begin(int n) {
        packed = policy.of(n);
        return packed;
    }

    long size() {
        return floats.byteSize();
    }
}
