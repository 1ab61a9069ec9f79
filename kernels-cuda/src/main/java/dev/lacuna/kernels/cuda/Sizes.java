package dev.lacuna.kernels.cuda;

import dev.lacuna.tensor.Format;

/** The arithmetic of layouts that KERNELS.md states, beside the kernels' sources. */
final class Sizes {
    /** Values of a block of 8-bit inputs, and what columns are padded to. */
    static final int BLOCK = 32;
    /** Rows of a panel of a weight that is multiplied whole; one whose rows are chosen has panels of one. */
    static final int PANEL = 16;
    private static final int ALIGNMENT = 128;

    private Sizes() {}

    /** The quotient, rounded up. */
    static int ceil(long a, long b) {
        return Math.toIntExact(Math.ceilDiv(a, b));
    }

    static long align(long a, long to) {
        return Math.multiplyExact(Math.ceilDiv(a, to), to);
    }

    /** Values from one row of an activation to the next. */
    static int stride(int cols) {
        return Math.toIntExact(align(cols, BLOCK));
    }

    /** Codes of 8-bit inputs from one row to the next: whole pairs of blocks. */
    static int codeStride(int cols) {
        return Math.toIntExact(align(cols, 2L * BLOCK));
    }

    /** Where a row has the code of a column: in each pair of blocks their halves take turns. */
    static int codePlace(int col) {
        return (col & ~48) | ((col & 16) << 1) | ((col & 32) >> 1);
    }

    /** Bytes of a placed weight in panels of that many rows. */
    static long weightBytes(Format format, int rows, int cols, int panel) {
        int padded = Math.toIntExact(align(cols, unit(format)));
        return Math.multiplyExact((long) ceil(rows, panel), align(panel * format.rowBytes(padded), ALIGNMENT));
    }

    /** Columns that a row of a placed weight is a whole number of. */
    private static int unit(Format format) {
        if (format.equals(Format.I8_ROW)) return BLOCK;
        return format.kind() == Format.Kind.FLOAT ? placeUnit(format) : format.group();
    }

    /** Columns that one thread of a placing kernel moves. */
    static int placeUnit(Format format) {
        if (format.equals(Format.F32)) return 4;
        if (format.kind() == Format.Kind.FLOAT) return 16;
        return format.equals(Format.I8_ROW) ? BLOCK : format.group();
    }
}
