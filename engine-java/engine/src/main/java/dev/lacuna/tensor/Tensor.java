package dev.lacuna.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * A matrix at rest: {@code rows x cols} values in a {@link Format}, row after row, in memory that somebody else owns. It has no arithmetic; kernels
 * get it through {@code Ops.place}.
 *
 * @param name   the name in the file, for messages
 * @param format packing of each row
 * @param rows   number of rows; a vector has one
 * @param cols   values of a row, a whole number of the format's groups
 * @param data   exactly {@code format.bytes(rows, cols)} bytes, little-endian, no alignment promised; where rows differ in length, a table of offsets and
 *               the rows in order, see {@link Format#variable}
 */
public record Tensor(String name, Format format, int rows, int cols, MemorySegment data) {
    private static final ValueLayout.OfLong OFFSET = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    public Tensor {
        if (rows <= 0) throw new IllegalArgumentException("tensor " + name + " has " + rows + " rows");
        if (format.variable()) {
            offsets(name, format, rows, cols, data);
        } else {
            long need = format.bytes(rows, cols);
            if (data.byteSize() != need) {
                throw new IllegalArgumentException(
                        "tensor " + name + " (" + rows + " x " + cols + " " + format + ") needs " + need + " bytes, has "
                                + data.byteSize());
            }
        }
    }

    private static void offsets(String name, Format format, int rows, int cols, MemorySegment data) {
        format.blocks(cols);
        String what = "tensor " + name + " (" + rows + " x " + cols + " " + format + ")";
        long table = table(rows);
        if (data.byteSize() < table) {
            throw new IllegalArgumentException(what + " needs " + table + " bytes for its row offsets, has " + data.byteSize());
        }
        long last = table;
        for (int r = 0; r <= rows; r++) {
            long at = data.get(OFFSET, (long) r * Long.BYTES);
            if (at < last || at > data.byteSize() || (r == 0 && at != table) || (r == rows && at != data.byteSize())) {
                throw new IllegalArgumentException(
                        what + ": the offset of row " + r + " is " + at + ", after " + last + " of " + data.byteSize());
            }
            last = at;
        }
    }

    private static long table(int rows) {
        return (rows + 1L) * Long.BYTES;
    }

    /** Where a row begins in the data, or the last one ends: 0 to rows. */
    public long offset(int row) {
        return format.variable() ? data.get(OFFSET, (long) row * Long.BYTES) : row * format.rowBytes(cols);
    }

    /**
     * Checks what only a walk over the data can, which kernels trust: the masks of sparse rows.
     *
     * @throws IllegalArgumentException if a row's mask is not what its format or its length says
     */
    public void check() {
        if (format.kind() != Format.Kind.SPARSE) return;
        SparseRows codec = (SparseRows) Codec.of(format);
        each(r -> {
            String wrong = codec.wrong(data, offset(r), cols, offset(r + 1) - offset(r));
            if (!wrong.isEmpty()) throw new IllegalArgumentException("tensor " + name + ", row " + r + " of " + format + ": " + wrong);
        }, data);
    }

    /** Does something with each row, on all processors where the memory is shared. */
    private void each(IntConsumer body, MemorySegment other) {
        Thread stranger = Thread.ofVirtual().unstarted(() -> {});
        boolean shared = data.isAccessibleBy(stranger) && other.isAccessibleBy(stranger);
        IntStream each = IntStream.range(0, rows);
        (shared ? each.parallel() : each).forEach(body);
    }

    /** Rows {@code from} (inclusive) to {@code to} (exclusive), without a copy unless rows differ in length. */
    public Tensor slice(int from, int to) {
        String part = name + "[" + from + ":" + to + "]";
        long first = offset(from), bytes = offset(to) - first;
        if (!format.variable()) return new Tensor(part, format, to - from, cols, data.asSlice(first, bytes));
        long table = table(to - from);
        MemorySegment copy = Arena.ofAuto().allocate(table + bytes, Long.BYTES);
        for (int r = from; r <= to; r++) copy.set(OFFSET, (long) (r - from) * Long.BYTES, offset(r) - first + table);
        MemorySegment.copy(data, first, copy, table, bytes);
        return new Tensor(part, format, to - from, cols, copy);
    }

    /** The values of one row as floats. */
    public float[] row(int row) {
        float[] out = new float[cols];
        Codec.of(format).decode(data, offset(row), out, 0, cols);
        return out;
    }

    /** All values, row after row; meant for vectors and small matrices. */
    public float[] toFloats() {
        float[] out = new float[Math.multiplyExact(rows, cols)];
        Codec codec = Codec.of(format);
        for (int r = 0; r < rows; r++) codec.decode(data, offset(r), out, r * cols, cols);
        return out;
    }

    /**
     * The same values in another format, packed row by row, on all processors where the memory is shared; this tensor itself where the format is its own.
     * Sparse formats keep the largest magnitudes: two of each four, or 40 % of each row.
     *
     * @throws IllegalArgumentException if a row is not a whole number of the format's groups or a value does not fit the format
     */
    public Tensor as(Format to, SegmentAllocator memory) {
        if (to.equals(format)) return this;
        return to.variable() ? as(to, SparseRows.DENSITY, memory) : fixed(to, memory);
    }

    /**
     * Bytes that {@link #as(Format, SegmentAllocator)} packs; of formats whose rows differ in length the most, since zeros among what is kept are not
     * stored.
     *
     * @throws IllegalArgumentException if a row is not a whole number of the format's groups
     */
    public long bytesAs(Format to) {
        if (to.equals(format)) return data.byteSize();
        if (!to.variable()) return to.bytes(rows, cols);
        return Math.addExact(table(rows), Math.multiplyExact((long) rows, ((SparseRows) Codec.of(to)).mostBytes(cols)));
    }

    private Tensor fixed(Format to, SegmentAllocator memory) {
        Codec codec = Codec.of(to);
        long written = to.rowBytes(cols);
        MemorySegment packed = memory.allocate(to.bytes(rows, cols), 64);
        each(r -> {
            try {
                codec.encode(row(r), 0, cols, packed, r * written);
            } catch (IllegalArgumentException e) {
                throw failed(r, e);
            }
        }, packed);
        return new Tensor(name, to, rows, cols, packed);
    }

    private IllegalArgumentException failed(int row, IllegalArgumentException e) {
        return new IllegalArgumentException("tensor " + name + ", row " + row + ": " + e.getMessage(), e);
    }

    /**
     * The values with the largest magnitudes of each row in a format that stores any of them.
     *
     * @param to      a format whose rows differ in length
     * @param density the part of each row that is kept, 0 to 1
     * @throws IllegalArgumentException as {@link #as(Format, SegmentAllocator)}
     */
    public Tensor as(Format to, double density, SegmentAllocator memory) {
        if (!(density >= 0 && density <= 1)) throw new IllegalArgumentException("a density of " + density + " is not between 0 and 1");
        if (!to.variable()) throw new IllegalArgumentException(to + " has a density of its own");
        to.blocks(cols);
        SparseRows codec = (SparseRows) Codec.of(to);
        byte[][] packed = new byte[rows][];
        each(r -> {
            try {
                packed[r] = codec.pack(row(r), 0, cols, density);
            } catch (IllegalArgumentException e) {
                throw failed(r, e);
            }
        }, data);
        long at = table(rows);
        for (byte[] row : packed) at += row.length;
        MemorySegment all = memory.allocate(at, 64);
        at = table(rows);
        for (int r = 0; r < rows; r++) {
            all.set(OFFSET, (long) r * Long.BYTES, at);
            MemorySegment.copy(packed[r], 0, all, ValueLayout.JAVA_BYTE, at, packed[r].length);
            at += packed[r].length;
        }
        all.set(OFFSET, (long) rows * Long.BYTES, at);
        return new Tensor(name, to, rows, cols, all);
    }
}
