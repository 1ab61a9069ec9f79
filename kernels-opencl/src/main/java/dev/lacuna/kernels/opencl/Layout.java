package dev.lacuna.kernels.opencl;

import dev.lacuna.ops.Input;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How weights of a format lie on the device: a plane of values or codes in rows of whole blocks of 32, so that work-items read vectors, then a plane
 * of scales, then one of zero points, each beginning at a multiple of {@link #ALIGNMENT}; {@code formats.cl} reads them. Padding is zeros.
 *
 * @param code  number of the format in {@code formats.cl}
 * @param block bytes of 32 values in the first plane
 */
record Layout(Format format, int code, int block) {
    static final int BLOCK = 32;
    private static final int ALIGNMENT = 128;

    /** Every format that there are kernels for. */
    static final List<Layout> ALL = List.of(new Layout(Format.F32, 0, 128), new Layout(Format.F16, 1, 64), new Layout(Format.BF16, 2, 64),
            new Layout(Format.I8_ROW, 3, 32), new Layout(Format.Q8_0, 4, 32), new Layout(Format.Q4_0, 5, 16),
            new Layout(Format.Q4_1, 6, 16), new Layout(Format.i4Group(32), 7, 16), new Layout(Format.i4Group(64), 7, 16),
            new Layout(Format.i4Group(128), 7, 16));
    /** Inputs that kernels read. */
    static final List<Input> INPUTS = List.of(Input.F32, Input.I8);

    static @Nullable Layout of(Format format) {
        return ALL.stream().filter(l -> l.format.equals(format)).findFirst().orElse(null);
    }

    /** What {@code --weights} should name so that a model in a format without kernels runs: at least as exact, where there is such. */
    static Format instead(Format format) {
        return format.bits() <= 4 ? Format.Q4_1 : Format.Q8_0;
    }

    static int blocks(int cols) {
        return Math.ceilDiv(cols, BLOCK);
    }

    private static long aligned(long bytes) {
        return Math.ceilDiv(bytes, ALIGNMENT) * ALIGNMENT;
    }

    /** Bytes of the source that repeat: a block of the format, or a row where the format has none. */
    private long unit(int cols) {
        return format.group() == 1 ? format.rowBytes(cols) : format.bytes();
    }

    private long units(int rows, int cols) {
        return format.group() == 1 ? rows : (long) rows * (cols / format.group());
    }

    /** A part of each unit: where it is, its bytes, and its bytes on the device. */
    private record Piece(int at, int bytes, int padded) {}

    private Piece values(int cols) {
        int all = blocks(cols) * block;
        return switch (code) {
            case 0, 1, 2 -> new Piece(0, Math.toIntExact(unit(cols)), all);
            case 3 -> new Piece(Float.BYTES, cols, all);
            case 7 -> new Piece(Float.BYTES + 1, format.group() / 2, format.group() / 2);
            default -> new Piece(format.zeroPoint() ? 4 : 2, block, block);
        };
    }

    private Piece scales() {
        int bytes = switch (code) {
            case 0, 1, 2 -> 0;
            case 4, 5 -> 2;
            default -> 4;
        };
        return new Piece(0, bytes, bytes);
    }

    private Piece zeros() {
        int bytes = code == 7 ? 1 : 0;
        return new Piece(Float.BYTES, bytes, bytes);
    }

    long scalesAt(int rows, int cols) {
        return aligned(Math.multiplyExact(units(rows, cols), values(cols).padded));
    }

    long zerosAt(int rows, int cols) {
        return scalesAt(rows, cols) + aligned(units(rows, cols) * scales().padded);
    }

    /** Bytes on the device. */
    long bytes(int rows, int cols) {
        return zerosAt(rows, cols) + aligned(units(rows, cols) * zeros().padded);
    }

    /** Options that choose the format in {@code formats.cl}. */
    String options() {
        return "-DFORMAT=" + code + " -DPER=" + Math.max(1, format.group() / BLOCK);
    }

    static String options(Input input) {
        return "-DPACKED=" + (input instanceof Input.I8 ? 1 : 0);
    }

    /** Sends a tensor to a buffer of {@link #bytes}, plane after plane. */
    void send(Tensor t, DeviceMemory.Buffer to, DeviceMemory memory) {
        send(t, values(t.cols()), to, 0, memory);
        send(t, scales(), to, scalesAt(t.rows(), t.cols()), memory);
        send(t, zeros(), to, zerosAt(t.rows(), t.cols()), memory);
    }

    private void send(Tensor t, Piece piece, DeviceMemory.Buffer to, long at, DeviceMemory memory) {
        if (piece.bytes == 0) return;
        memory.stage(piece.padded);
        MemorySegment stage = memory.stage();
        long unit = unit(t.cols()), units = units(t.rows(), t.cols());
        long many = stage.byteSize() / piece.padded;
        for (long first = 0; first < units; first += many) {
            long n = Math.min(many, units - first);
            if (piece.bytes == unit && piece.bytes == piece.padded) {
                MemorySegment.copy(t.data(), first * unit, stage, 0, n * unit);
            } else {
                if (piece.padded > piece.bytes) stage.asSlice(0, n * piece.padded).fill((byte) 0);
                for (long u = 0; u < n; u++) {
                    MemorySegment.copy(t.data(), (first + u) * unit + piece.at, stage, u * piece.padded, piece.bytes);
                }
            }
            memory.send(to, at + first * piece.padded, n * piece.padded);
        }
    }
}
