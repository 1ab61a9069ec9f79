package dev.lacuna.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;

/**
 * A matrix at rest: {@code rows x cols} values in a {@link Format}, row after row, in memory that somebody else owns. It has no arithmetic; kernels
 * get it through {@code Ops.place}.
 *
 * @param name   the name in the file, for messages
 * @param format packing of each row
 * @param rows   number of rows; a vector has one
 * @param cols   values of a row, a whole number of the format's groups
 * @param data   exactly {@code format.bytes(rows, cols)} bytes, little-endian, no alignment promised
 */
public record Tensor(String name, Format format, int rows, int cols, MemorySegment data) {
    public Tensor {
        if (rows <= 0) throw new IllegalArgumentException("tensor " + name + " has " + rows + " rows");
        long need = format.bytes(rows, cols);
        if (data.byteSize() != need) {
            throw new IllegalArgumentException(
                    "tensor " + name + " (" + rows + " x " + cols + " " + format + ") needs " + need + " bytes, has " + data.byteSize());
        }
    }

    /** Rows {@code from} (inclusive) to {@code to} (exclusive), without a copy. */
    public Tensor slice(int from, int to) {
        long row = format.rowBytes(cols);
        return new Tensor(name + "[" + from + ":" + to + "]", format, to - from, cols, data.asSlice(from * row, (to - from) * row));
    }

    /** The values of one row as floats. */
    public float[] row(int row) {
        float[] out = new float[cols];
        Codec.of(format).decode(data, row * format.rowBytes(cols), out, 0, cols);
        return out;
    }

    /** All values, row after row; meant for vectors and small matrices. */
    public float[] toFloats() {
        float[] out = new float[Math.multiplyExact(rows, cols)];
        Codec codec = Codec.of(format);
        long row = format.rowBytes(cols);
        for (int r = 0; r < rows; r++) codec.decode(data, r * row, out, r * cols, cols);
        return out;
    }

    /**
     * The same values in another format, packed row by row; this tensor itself where the format is its own.
     *
     * @throws IllegalArgumentException if a row is not a whole number of the format's groups or a value does not fit the format
     */
    public Tensor as(Format to, SegmentAllocator memory) {
        if (to.equals(format)) return this;
        Codec from = Codec.of(format), codec = Codec.of(to);
        long read = format.rowBytes(cols), written = to.rowBytes(cols);
        MemorySegment packed = memory.allocate(to.bytes(rows, cols), 64);
        float[] row = new float[cols];
        for (int r = 0; r < rows; r++) {
            from.decode(data, r * read, row, 0, cols);
            try {
                codec.encode(row, 0, cols, packed, r * written);
            } catch (IllegalArgumentException e) {
                throw new IllegalArgumentException("tensor " + name + ", row " + r + ": " + e.getMessage(), e);
            }
        }
        return new Tensor(name, to, rows, cols, packed);
    }
}
