package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * An activation outside the heap. Rows are padded with zeros to whole blocks. The floats always hold what the packing stands for, so that products
 * may take either; the bytes are there only if the policy packs to them.
 */
final class CpuAct implements Act {
    /** Values that share a scale. */
    static final int BLOCK = 32;
    private static final long ALIGNMENT = 64;

    private final int cols;
    private final InputPolicy policy;
    private final int rows;
    private final MemorySegment floats;
    private final MemorySegment bytes;
    private final MemorySegment scales;
    private final MemorySegment sums;
    private Input packed;

    CpuAct(int rows, int cols, InputPolicy policy, Arena arena) {
        this.rows = rows;
        this.cols = cols;
        this.policy = policy;
        long n = Math.multiplyExact((long) rows, stride());
        boolean eight = policy.fewRows() instanceof Input.I8 || policy.manyRows() instanceof Input.I8;
        floats = arena.allocate(Math.multiplyExact(n, Float.BYTES), ALIGNMENT);
        bytes = arena.allocate(eight ? n : 0, ALIGNMENT);
        scales = arena.allocate(eight ? n / BLOCK * Float.BYTES : 0, ALIGNMENT);
        sums = arena.allocate(eight ? n / BLOCK * Float.BYTES : 0, ALIGNMENT);
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

    int rows() {
        return rows;
    }

    MemorySegment floats() {
        return floats;
    }

    MemorySegment bytes() {
        return bytes;
    }

    MemorySegment scales() {
        return scales;
    }

    MemorySegment sums() {
        return sums;
    }

    /** What the latest writer packed. */
    Input packed() {
        return packed;
    }

    /** Says that {@code n} rows are about to be written, and returns what they are packed to. */
    Input begin(int n) {
        packed = policy.of(n);
        return packed;
    }

    long size() {
        return floats.byteSize() + bytes.byteSize() + scales.byteSize() + sums.byteSize();
    }
}
