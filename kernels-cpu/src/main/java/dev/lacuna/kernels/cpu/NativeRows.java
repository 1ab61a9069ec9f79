package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Weight;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.Stream;

/**
 * A matrix of which chosen rows run, in rows as files pack them; see {@code gather.c}.
 *
 * @param data   the rows, padded with zeros
 * @param stride bytes from row to row, whole lines
 */
record NativeRows(int rows, int cols, Format format, InputPolicy policy, NativeFormat packing, MemorySegment data, long stride)
        implements
            Weight {
    private static final int LINE = 64;

    /** The formats that the C kernels gather. */
    static final List<Format> FORMATS = Stream.concat(
            Stream.of(Format.I8_ROW, Format.Q8_0, Format.F16, Format.BF16, Format.F32, Format.Q4_0),
            Stream.of(32, 64, 128).map(Format::i4Group)).toList();

    /** Bytes of a row: kernels read whole blocks of 32 columns. */
    static long stride(Format format, int cols) {
        long bytes = format.group() == 1 ? format.rowBytes(NativeAct.padded(cols)) : format.rowBytes(cols);
        return Math.addExact(bytes, LINE - 1) / LINE * LINE;
    }

    /** Copies a row to its place. */
    void put(Tensor t, int row) {
        MemorySegment.copy(t.data(), t.offset(row), data, row * stride, format.rowBytes(cols));
    }

    @Override
    public long bytes() {
        return data.byteSize();
    }
}
