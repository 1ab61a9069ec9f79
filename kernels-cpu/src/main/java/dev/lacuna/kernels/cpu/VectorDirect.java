package dev.lacuna.kernels.cpu;

import static dev.lacuna.kernels.cpu.Lanes.F;
import static dev.lacuna.kernels.cpu.Lanes.N;
import static dev.lacuna.kernels.cpu.Lanes.floats;
import static dev.lacuna.kernels.cpu.Lanes.signed;
import static dev.lacuna.kernels.cpu.Lanes.unsigned;
import static dev.lacuna.kernels.cpu.PlainUnpack.byteOf;

import dev.lacuna.tensor.Format;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Packed weights times one row of floats, without a detour through memory: the same values in the same order as {@link VectorUnpack} and
 * {@link VectorDots}, so that a row gives the same bits however many rows its step has. One weight row at a time, except I8_ROW: of formats in blocks two
 * or four together, which share the loads of the inputs, are slower in compiled code.
 */
final class VectorDirect {
    private VectorDirect() {}

    static boolean has(Format format) {
        return switch (format.name()) {
            case "I8_ROW", "Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q6_K" -> true;
            default -> format.kind() == Format.Kind.INTEGER && format.zeroPoint();
        };
    }

    static void rows(Format format, MemorySegment w, int from, int to, int cols, float[] x, int xAt, float[] out, int outAt,
            float[] lanes) {
        long size = format.rowBytes(cols);
        int o = from;
        if (format.equals(Format.I8_ROW)) {
            for (; o + 4 <= to; o += 4) four(w, o * size, size, cols, x, xAt, out, outAt + o - from, lanes);
            for (; o < to; o++) out[outAt + o - from] = Lanes.total(row(w, o * size, cols, x, xAt, lanes), lanes);
            return;
        }
        for (; o < to; o++) {
            FloatVector sum = switch (format.name()) {
                case "Q8_0" -> q8(w, o * size, cols, x, xAt);
                case "Q4_0" -> q4(w, o * size, cols, x, xAt);
                case "Q4_1" -> q41(w, o * size, cols, x, xAt);
                case "Q4_K" -> q4k(w, o * size, cols, x, xAt);
                case "Q6_K" -> q6k(w, o * size, cols, x, xAt);
                default -> format.bits() == 8 ? bytes(format, w, o * size, cols, x, xAt) : nibbles(format, w, o * size, cols, x, xAt);
            };
            out[outAt + o - from] = Lanes.total(sum, lanes);
        }
    }

    private static FloatVector input(float[] x, int at) {
        return FloatVector.fromArray(F, x, at);
    }

    /**
     * Four rows of I8_ROW. A row's sum is a chain of multiply-adds, each of which waits for the one before: four chains keep the units busy, and four
     * streams the memory.
     */
    private static void four(MemorySegment w, long at, long size, int cols, float[] x, int xAt, float[] out, int outAt, float[] lanes) {
        long a = at + Float.BYTES, b = a + size, c = b + size, d = c + size;
        float ad = w.get(PlainUnpack.FLOAT, at), bd = w.get(PlainUnpack.FLOAT, at + size);
        float cd = w.get(PlainUnpack.FLOAT, at + 2 * size), dd = w.get(PlainUnpack.FLOAT, at + 3 * size);
        FloatVector p = FloatVector.zero(F), q = p, r = p, s = p;
        int whole = cols / N * N;
        for (int i = 0; i < whole; i += N) {
            FloatVector v = input(x, xAt + i);
            p = floats(signed(w, a + i)).mul(ad).fma(v, p);
            q = floats(signed(w, b + i)).mul(bd).fma(v, q);
            r = floats(signed(w, c + i)).mul(cd).fma(v, r);
            s = floats(signed(w, d + i)).mul(dd).fma(v, s);
        }
        if (whole < cols) {
            FloatVector v = input(x, xAt + whole);
            p = some(w, a + whole, cols - whole, ad, lanes).fma(v, p);
            q = some(w, b + whole, cols - whole, bd, lanes).fma(v, q);
            r = some(w, c + whole, cols - whole, cd, lanes).fma(v, r);
            s = some(w, d + whole, cols - whole, dd, lanes).fma(v, s);
        }
        out[outAt] = Lanes.total(p, lanes);
        out[outAt + 1] = Lanes.total(q, lanes);
        out[outAt + 2] = Lanes.total(r, lanes);
        out[outAt + 3] = Lanes.total(s, lanes);
    }

    /** A row of I8_ROW. */
    private static FloatVector row(MemorySegment w, long at, int cols, float[] x, int xAt, float[] lanes) {
        float d = w.get(PlainUnpack.FLOAT, at);
        FloatVector sum = FloatVector.zero(F);
        int whole = cols / N * N;
        for (int i = 0; i < whole; i += N) sum = floats(signed(w, at + Float.BYTES + i)).mul(d).fma(input(x, xAt + i), sum);
        if (whole == cols) return sum;
        return some(w, at + Float.BYTES + whole, cols - whole, d, lanes).fma(input(x, xAt + whole), sum);
    }

    /** The last values of a row, fewer than a register holds, and zeros: behind them another row begins, or nothing. */
    private static FloatVector some(MemorySegment w, long at, int n, float d, float[] lanes) {
        for (int i = 0; i < N; i++) lanes[i] = i < n ? d * w.get(ValueLayout.JAVA_BYTE, at + i) : 0;
        return FloatVector.fromArray(F, lanes, 0);
    }

    /** I8_GROUP. */
    private static FloatVector bytes(Format format, MemorySegment w, long at, int cols, float[] x, int xAt) {
        FloatVector sum = FloatVector.zero(F);
        for (int b = xAt; b < xAt + cols; b += format.group(), at += format.bytes()) {
            float d = w.get(PlainUnpack.FLOAT, at);
            int zero = w.get(ValueLayout.JAVA_BYTE, at + Float.BYTES);
            long first = at + Float.BYTES + 1;
            for (int i = 0; i < format.group(); i += N) sum = floats(signed(w, first + i).sub(zero)).mul(d).fma(input(x, b + i), sum);
        }
        return sum;
    }

    /** I4_GROUP. */
    private static FloatVector nibbles(Format format, MemorySegment w, long at, int cols, float[] x, int xAt) {
        FloatVector sum = FloatVector.zero(F);
        for (int b = xAt; b < xAt + cols; b += format.group(), at += format.bytes()) {
            float d = w.get(PlainUnpack.FLOAT, at);
            int zero = w.get(ValueLayout.JAVA_BYTE, at + Float.BYTES);
            long first = at + Float.BYTES + 1;
            for (int run = b; run < b + format.group(); run += 32, first += 16) {
                for (int i = 0; i < 16; i += N) {
                    sum = floats(unsigned(w, first + i).and(15).sub(zero)).mul(d).fma(input(x, run + i), sum);
                }
                for (int i = 0; i < 16; i += N) {
                    sum = floats(unsigned(w, first + i).lanewise(VectorOperators.LSHR, 4).sub(zero)).mul(d).fma(input(x, run + 16 + i),
                            sum);
                }
            }
        }
        return sum;
    }

    private static FloatVector q8(MemorySegment w, long at, int cols, float[] x, int xAt) {
        FloatVector sum = FloatVector.zero(F);
        for (int b = xAt; b < xAt + cols; b += 32, at += 34) {
            float d = PlainUnpack.half(w, at);
            for (int i = 0; i < 32; i += N) sum = floats(signed(w, at + 2 + i)).mul(d).fma(input(x, b + i), sum);
        }
        return sum;
    }

    private static IntVector low(MemorySegment w, long at) {
        return unsigned(w, at).and(15);
    }

    private static IntVector high(MemorySegment w, long at) {
        return unsigned(w, at).lanewise(VectorOperators.LSHR, 4);
    }

    private static FloatVector q4(MemorySegment w, long at, int cols, float[] x, int xAt) {
        FloatVector sum = FloatVector.zero(F);
        for (int b = xAt; b < xAt + cols; b += 32, at += 18) {
            float d = PlainUnpack.half(w, at);
            for (int i = 0; i < 16; i += N) sum = floats(low(w, at + 2 + i).sub(8)).mul(d).fma(input(x, b + i), sum);
            for (int i = 0; i < 16; i += N) sum = floats(high(w, at + 2 + i).sub(8)).mul(d).fma(input(x, b + 16 + i), sum);
        }
        return sum;
    }

    private static FloatVector q41(MemorySegment w, long at, int cols, float[] x, int xAt) {
        FloatVector sum = FloatVector.zero(F);
        for (int b = xAt; b < xAt + cols; b += 32, at += 20) {
            int both = w.get(PlainUnpack.INT, at);
            FloatVector d = FloatVector.broadcast(F, Float.float16ToFloat((short) both));
            FloatVector m = FloatVector.broadcast(F, Float.float16ToFloat((short) (both >> 16)));
            for (int i = 0; i < 16; i += N) sum = floats(low(w, at + 4 + i)).mul(d).add(m).fma(input(x, b + i), sum);
            for (int i = 0; i < 16; i += N) sum = floats(high(w, at + 4 + i)).mul(d).add(m).fma(input(x, b + 16 + i), sum);
        }
        return sum;
    }

    private static FloatVector q4k(MemorySegment w, long at, int cols, float[] x, int xAt) {
        FloatVector sum = FloatVector.zero(F);
        for (int b = xAt; b < xAt + cols; b += 256, at += 144) {
            float d = PlainUnpack.half(w, at);
            float dmin = PlainUnpack.half(w, at + 2);
            long scales = PlainUnpack.scales(w, at + 4);
            long minima = PlainUnpack.minima(w, at + 4);
            for (int j = 0; j < 8; j += 2) {
                long from = at + 16 + 16L * j;
                int to = b + 32 * j;
                float s = d * byteOf(scales, j), m = dmin * byteOf(minima, j);
                for (int i = 0; i < 32; i += N) sum = floats(low(w, from + i)).mul(s).sub(m).fma(input(x, to + i), sum);
                s = d * byteOf(scales, j + 1);
                m = dmin * byteOf(minima, j + 1);
                for (int i = 0; i < 32; i += N) sum = floats(high(w, from + i)).mul(s).sub(m).fma(input(x, to + 32 + i), sum);
            }
        }
        return sum;
    }

    private static FloatVector q6k(MemorySegment w, long at, int cols, float[] x, int xAt) {
        FloatVector sum = FloatVector.zero(F);
        for (int b = xAt; b < xAt + cols; b += 256, at += 210) {
            float d = PlainUnpack.half(w, at + 208);
            for (int j = 0; j < 8; j++) {
                // run j of 32 values: half j / 4 of the block, two bits of the high plane at 2 * (j % 4)
                int half = j / 4;
                int run = j % 4;
                long low = at + 64L * half + 32L * (run % 2);
                long high = at + 128 + 32L * half;
                long scale = at + 192 + 2L * j;
                for (int i = 0; i < 32; i += N) {
                    IntVector nibble = unsigned(w, low + i).lanewise(VectorOperators.LSHR, run / 2 * 4).and(15);
                    IntVector two = unsigned(w, high + i).lanewise(VectorOperators.LSHR, 2 * run).and(3).lanewise(VectorOperators.LSHL, 4);
                    FloatVector v = floats(nibble.or(two).sub(32)).mul(d * w.get(ValueLayout.JAVA_BYTE, scale + i / 16));
                    sum = v.fma(input(x, b + 32 * j + i), sum);
                }
            }
        }
        return sum;
    }
}
