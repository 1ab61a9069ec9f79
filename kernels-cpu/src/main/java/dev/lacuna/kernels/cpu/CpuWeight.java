package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Weight;
import dev.lacuna.tensor.Format;
import java.lang.foreign.MemorySegment;

/**
 * A matrix where it was found, usually in a mapped file.
 *
 * @param data  the rows as the format packs them, outside the heap
 * @param bytes of a copy, if one had to be made
 */
record CpuWeight(int rows, int cols, Format format, InputPolicy policy, MemorySegment data, long bytes) implements Weight {
    /** Unpacks part of a row, from a column where a block begins. */
    void part(Kernels kernels, int row, int from, int n, float[] to, int toAt) {
        if (format.rowHeader() == 0) {
            kernels.unpack(format, data, at(row) + (long) from / format.group() * format.bytes(), n, to, toAt);
            return;
        }
        kernels.unpackBytes(data, at(row) + format.rowHeader() + from, n, to, toAt);
        kernels.scale(to, toAt, n, data.get(PlainUnpack.FLOAT, at(row)));
    }

    /** Where a row begins. */
    long at(int row) {
        return format.variable() ? data.get(PlainUnpack.LONG, (long) row * Long.BYTES) : row * format.rowBytes(cols);
    }
}
