package dev.lacuna.kernels.cpu;

import static dev.lacuna.kernels.cpu.Lanes.F;
import static dev.lacuna.kernels.cpu.Lanes.SHORTS;
import static dev.lacuna.kernels.cpu.Lanes.floats;
import static dev.lacuna.kernels.cpu.Lanes.shorts;
import static dev.lacuna.kernels.cpu.Lanes.unsignedShorts;
import static dev.lacuna.kernels.cpu.Lanes.widened;
import static dev.lacuna.kernels.cpu.PlainUnpack.byteOf;

import dev.lacuna.tensor.Format;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Packed weights times one row of bytes. Products and sums of two are exact in 16 bits (at most 2 x 128 x 127), further sums in 32; each block's lanes
 * are scaled into float sums, in which lanes stay apart until the row ends. A zero point meets the sum of the block's inputs. One row at a time: two or
 * four together, which share the loads of the inputs, are slower in compiled code.
 */
final class VectorIntegers {
    private VectorIntegers() {}

    static boolean has(Format format) {
        return switch (format.name()) {
            case "Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q6_K" -> true;
            default -> false;
        };
    }

    static void rows(Format format, MemorySegment w, int from, int to, int cols, Panel in, int x, float[] out, int outAt, float[] lanes) {
        long size = format.rowBytes(cols);
        int first = x * in.stride;
        int block = first / CpuAct.BLOCK;
        for (int o = from; o < to; o++) {
            out[outAt + o - from] = switch (format.name()) {
                case "Q8_0" -> q8(w, o * size, cols, in.q, in.scale, first, block, lanes);
                case "Q4_0" -> q4(w, o * size, cols, in.q, in.scale, first, block, lanes);
                case "Q4_1" -> q41(w, o * size, cols, in.q, in.scale, in.sum, first, block, lanes);
                case "Q4_K" -> q4k(w, o * size, cols, in.q, in.scale, in.sum, first, block, lanes);
                case "Q6_K" -> q6k(w, o * size, cols, in.q, in.scale, first, block, lanes);
                default -> throw new IllegalArgumentException("no loop for " + format);
            };
        }
    }

    private static FloatVector scaled(IntVector products, float scale, FloatVector sum) {
        return floats(products).fma(FloatVector.broadcast(F, scale), sum);
    }

    private static float q8(MemorySegment w, long at, int cols, byte[] q, float[] scale, int x, int block, float[] lanes) {
        FloatVector sum = FloatVector.zero(F);
        for (int i = 0; i < cols; i += 32, at += 34) {
            IntVector p = bytes(w, at + 2, q, x + i);
            if (SHORTS == 8) p = p.add(bytes(w, at + 10, q, x + i + 8));
            sum = scaled(p, PlainUnpack.half(w, at) * scale[block + i / 32], sum);
        }
        return Lanes.total(sum, lanes);
    }

    private static IntVector bytes(MemorySegment w, long at, byte[] q, int x) {
        return widened(shorts(w, at).mul(shorts(q, x)).add(shorts(w, at + 16).mul(shorts(q, x + 16))));
    }

    /** {@code SHORTS} low nibbles times the inputs at {@code x} and their high nibbles times those at {@code x + apart}. */
    private static IntVector nibbles(MemorySegment w, long at, byte[] q, int x) {
        ShortVector v = unsignedShorts(w, at);
        return widened(v.and((short) 15).mul(shorts(q, x)).add(v.lanewise(VectorOperators.LSHR, 4).mul(shorts(q, x + 16))));
    }

    private static float q4(MemorySegment w, long at, int cols, byte[] q, float[] scale, int x, int block, float[] lanes) {
        FloatVector sum = FloatVector.zero(F);
        for (int i = 0; i < cols; i += 32, at += 18) {
            IntVector p = biased(w, at + 2, q, x + i);
            if (SHORTS == 8) p = p.add(biased(w, at + 10, q, x + i + 8));
            sum = scaled(p, PlainUnpack.half(w, at) * scale[block + i / 32], sum);
        }
        return Lanes.total(sum, lanes);
    }

    private static IntVector biased(MemorySegment w, long at, byte[] q, int x) {
        ShortVector v = unsignedShorts(w, at);
        return widened(lows(v).sub((short) 8).mul(shorts(q, x)).add(highs(v).sub((short) 8).mul(shorts(q, x + 16))));
    }

    private static float q41(MemorySegment w, long at, int cols, byte[] q, float[] scale, float[] sums, int x, int block, float[] lanes) {
        FloatVector sum = FloatVector.zero(F);
        float low = 0;
        for (int i = 0; i < cols; i += 32, at += 20) {
            IntVector p = nibbles(w, at + 4, q, x + i);
            if (SHORTS == 8) p = p.add(nibbles(w, at + 12, q, x + i + 8));
            int both = w.get(PlainUnpack.INT, at);
            sum = scaled(p, Float.float16ToFloat((short) both) * scale[block + i / 32], sum);
            low += Float.float16ToFloat((short) (both >> 16)) * sums[block + i / 32];
        }
        return Lanes.total(sum, lanes) + low;
    }

    private static float q4k(MemorySegment w, long at, int cols, byte[] q, float[] scale, float[] sums, int x, int block, float[] lanes) {
        FloatVector sum = FloatVector.zero(F);
        float low = 0;
        for (int i = 0; i < cols; i += 256, at += 144) {
            float d = PlainUnpack.half(w, at);
            long scales = PlainUnpack.scales(w, at + 4);
            long minima = PlainUnpack.minima(w, at + 4);
            float min = 0;
            for (int j = 0; j < 8; j += 2) {
                int b = block + i / 32 + j;
                int first = x + i + 32 * j;
                long from = at + 16 + 16 * j;
                ShortVector v = unsignedShorts(w, from);
                ShortVector u = unsignedShorts(w, from + 16);
                IntVector p = widened(lows(v).mul(shorts(q, first)).add(lows(u).mul(shorts(q, first + 16))));
                IntVector r = widened(highs(v).mul(shorts(q, first + 32)).add(highs(u).mul(shorts(q, first + 48))));
                if (SHORTS == 8) {
                    v = unsignedShorts(w, from + 8);
                    u = unsignedShorts(w, from + 24);
                    p = p.add(widened(lows(v).mul(shorts(q, first + 8)).add(lows(u).mul(shorts(q, first + 24)))));
                    r = r.add(widened(highs(v).mul(shorts(q, first + 40)).add(highs(u).mul(shorts(q, first + 56)))));
                }
                sum = scaled(p, d * byteOf(scales, j) * scale[b], sum);
                sum = scaled(r, d * byteOf(scales, j + 1) * scale[b + 1], sum);
                min += byteOf(minima, j) * sums[b] + byteOf(minima, j + 1) * sums[b + 1];
            }
            low += PlainUnpack.half(w, at + 2) * min;
        }
        return Lanes.total(sum, lanes) - low;
    }

    private static ShortVector lows(ShortVector v) {
        return v.and((short) 15);
    }

    private static ShortVector highs(ShortVector v) {
        return v.lanewise(VectorOperators.LSHR, 4);
    }

    private static float q6k(MemorySegment w, long at, int cols, byte[] q, float[] scale, int x, int block, float[] lanes) {
        FloatVector sum = FloatVector.zero(F);
        for (int i = 0; i < cols; i += 256, at += 210) {
            float d = PlainUnpack.half(w, at + 208);
            for (int j = 0; j < 4; j++) {
                // 16 positions of a half of 128; each has four values, 32 apart, with a scale each
                int half = j / 2;
                int run = j % 2;
                long low = at + 64 * half + 16 * run;
                long high = at + 128 + 32 * half + 16 * run;
                long scales = at + 192 + 8 * half + run;
                int first = x + i + 128 * half + 16 * run;
                int b = block + i / 32 + 4 * half;
                sum = sixteen(w, low, high, 0, q, first, d * w.get(ValueLayout.JAVA_BYTE, scales) * scale[b], sum);
                sum = sixteen(w, low + 32, high, 1, q, first + 32, d * w.get(ValueLayout.JAVA_BYTE, scales + 2) * scale[b + 1], sum);
                sum = sixteen(w, low, high, 2, q, first + 64, d * w.get(ValueLayout.JAVA_BYTE, scales + 4) * scale[b + 2], sum);
                sum = sixteen(w, low + 32, high, 3, q, first + 96, d * w.get(ValueLayout.JAVA_BYTE, scales + 6) * scale[b + 3], sum);
            }
        }
        return Lanes.total(sum, lanes);
    }

    private static FloatVector sixteen(MemorySegment w, long low, long high, int which, byte[] q, int x, float scale, FloatVector sum) {
        IntVector p = widened(six(unsignedShorts(w, low), unsignedShorts(w, high), which).mul(shorts(q, x)));
        if (SHORTS == 8) p = p.add(widened(six(unsignedShorts(w, low + 8), unsignedShorts(w, high + 8), which).mul(shorts(q, x + 8))));
        return scaled(p, scale, sum);
    }

    private static ShortVector six(ShortVector low, ShortVector high, int which) {
        ShortVector nibble = which < 2 ? low.and((short) 15) : low.lanewise(VectorOperators.LSHR, 4);
        ShortVector two = high.lanewise(VectorOperators.LSHR, 2 * which).and((short) 3).lanewise(VectorOperators.LSHL, 4);
        return nibble.or(two).sub((short) 32);
    }
}
