package dev.lacuna.kernels.cpu;

import static dev.lacuna.kernels.cpu.Lanes.F;
import static dev.lacuna.kernels.cpu.Lanes.I;
import static dev.lacuna.kernels.cpu.Lanes.N;
import static dev.lacuna.kernels.cpu.Lanes.floats;
import static dev.lacuna.kernels.cpu.Lanes.signed;
import static dev.lacuna.kernels.cpu.Lanes.sixteen;
import static dev.lacuna.kernels.cpu.Lanes.unsigned;
import static dev.lacuna.kernels.cpu.PlainUnpack.byteOf;
import static dev.lacuna.kernels.cpu.PlainUnpack.half;

import dev.lacuna.tensor.Codec;
import dev.lacuna.tensor.Format;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/** Unpacks rows of weights to the floats that the codecs define, bit for bit. One loop for each format, chosen once for a row. */
final class VectorUnpack {
    private static final IntVector LANE = IntVector.zero(I).addIndex(1);
    /** 2^112: what a float's exponent has more than a half's. */
    private static final float REBIAS = 0x1p112f;

    private static final long LANES = (1L << N) - 1;
    /** Where in a word of eight nibbles a lane's begins, and the lanes that take theirs from a second word. */
    private static final IntVector NIBBLE = LANE.and(7).mul(4);
    private static final VectorMask<Integer> UPPER = LANE.compare(VectorOperators.GE, 8);

    private VectorUnpack() {}

    static void row(Format format, MemorySegment w, long at, int n, float[] to, int toAt) {
        switch (format.name()) {
            case "F32" -> MemorySegment.copy(w, PlainUnpack.FLOAT, at, to, toAt, n);
            case "F16" -> halves(w, at, n, to, toAt);
            case "BF16" -> brains(w, at, n, to, toAt);
            case "Q8_0" -> q8(w, at, n, to, toAt);
            case "Q4_0" -> q4(w, at, n, to, toAt);
            case "Q4_1" -> q41(w, at, n, to, toAt);
            case "Q5_0" -> q5(w, at, n, 22, 2, to, toAt);
            case "Q5_1" -> q5(w, at, n, 24, 4, to, toAt);
            case "Q4_K" -> q4k(w, at, n, to, toAt);
            case "Q5_K" -> q5k(w, at, n, to, toAt);
            case "Q6_K" -> q6k(w, at, n, to, toAt);
            case "I8_ROW" -> scaled(w, at + Float.BYTES, n, w.get(PlainUnpack.FLOAT, at), 0, to, toAt);
            default -> {
                if (format.kind() == Format.Kind.SPARSE) {
                    sparse(format, w, at, n, to, toAt);
                    return;
                }
                if (format.kind() != Format.Kind.INTEGER) throw new IllegalArgumentException("no loop for " + format);
                groups(format, w, at, n, to, toAt);
            }
        }
    }

    /** I8_GROUP and I4_GROUP. */
    private static void groups(Format format, MemorySegment w, long at, int n, float[] to, int toAt) {
        for (int b = toAt; b < toAt + n; b += format.group(), at += format.bytes()) {
            float d = w.get(PlainUnpack.FLOAT, at);
            int zero = w.get(ValueLayout.JAVA_BYTE, at + Float.BYTES);
            long first = at + Float.BYTES + 1;
            if (format.bits() == 8) {
                scaled(w, first, format.group(), d, zero, to, b);
                continue;
            }
            for (int run = 0; run < format.group(); run += 32, first += 16) {
                for (int i = 0; i < 16; i += N) {
                    IntVector v = unsigned(w, first + i);
                    floats(v.and(15).sub(zero)).mul(d).intoArray(to, b + run + i);
                    floats(v.lanewise(VectorOperators.LSHR, 4).sub(zero)).mul(d).intoArray(to, b + run + 16 + i);
                }
            }
        }
    }

    /** Rows under masks: a register of stored values is expanded to where its bits of the mask are. */
    private static void sparse(Format format, MemorySegment w, long at, int n, float[] to, int toAt) {
        if (n % format.group() != 0) {
            // the last group has padding, for which there is no room
            Codec.of(format).decode(w, at, to, toAt, n);
            return;
        }
        boolean own = format.rowHeader() == 0;
        float d = own ? 0 : w.get(PlainUnpack.FLOAT, at);
        long p = at + format.rowHeader();
        for (int run = toAt; run < toAt + n; run += format.group()) {
            if (own) d = w.get(PlainUnpack.FLOAT, p);
            long masks = own ? p + Float.BYTES : p;
            p = masks + format.group() / 8;
            for (int word = 0; word < format.group(); word += 64) {
                long mask = w.get(PlainUnpack.LONG, masks + word / 8);
                int i = run + word;
                // whole registers are loaded, which must not reach past the end
                if (p + 64 > w.byteSize()) {
                    Arrays.fill(to, i, i + 64, 0);
                    p += format.bits() == 8 ? PlainUnpack.bytes(mask, w, p, d, to, i) : PlainUnpack.nibbles(mask, w, p, d, to, i);
                } else if (format.bits() == 8) {
                    expandBytes(mask, w, p, d, to, i);
                    p += Long.bitCount(mask);
                } else {
                    expandNibbles(mask, w, p, d, to, i);
                    p += (Long.bitCount(mask) + 1) / 2;
                }
            }
        }
    }

    private static void expandBytes(long mask, MemorySegment w, long at, float d, float[] to, int toAt) {
        for (int i = 0; i < 64; i += N) {
            long bits = mask >>> i & LANES;
            floats(signed(w, at)).mul(d).expand(VectorMask.fromLong(F, bits)).intoArray(to, toAt + i);
            at += Long.bitCount(bits);
        }
    }

    private static void expandNibbles(long mask, MemorySegment w, long at, float d, float[] to, int toAt) {
        int stored = 0;
        for (int i = 0; i < 64; i += N) {
            long bits = mask >>> i & LANES;
            // 16 nibbles and the one that a register may begin in the middle of; a shift by lanes brings each down
            long low = w.get(PlainUnpack.LONG, at + stored / 2) >>> (4 * (stored % 2));
            long high = w.get(PlainUnpack.LONG, at + stored / 2 + 4) >>> (4 * (stored % 2));
            IntVector q = IntVector.broadcast(I, (int) low).lanewise(VectorOperators.LSHR, NIBBLE);
            if (N > 8) q = q.blend(IntVector.broadcast(I, (int) high).lanewise(VectorOperators.LSHR, NIBBLE), UPPER);
            floats(q.and(15).sub(8)).mul(d).expand(VectorMask.fromLong(F, bits)).intoArray(to, toAt + i);
            stored += Long.bitCount(bits);
        }
    }

    private static void scaled(MemorySegment w, long at, int n, float d, int zero, float[] to, int toAt) {
        int i = 0;
        for (; i + N <= n; i += N) floats(signed(w, at + i).sub(zero)).mul(d).intoArray(to, toAt + i);
        for (; i < n; i++) to[toAt + i] = d * (w.get(ValueLayout.JAVA_BYTE, at + i) - zero);
    }

    static void bytes(MemorySegment w, long at, int n, float[] to, int toAt) {
        int i = 0;
        for (; i + N <= n; i += N) floats(signed(w, at + i)).intoArray(to, toAt + i);
        for (; i < n; i++) to[toAt + i] = w.get(ValueLayout.JAVA_BYTE, at + i);
    }

    /** Halves are floats with a smaller exponent: shifted into place and multiplied by the difference, which makes subnormals right as well. */
    private static void halves(MemorySegment w, long at, int n, float[] to, int toAt) {
        int i = 0;
        for (; i + N <= n; i += N) {
            IntVector v = sixteen(w, at + 2L * i);
            IntVector magnitude = v.and(0x7FFF).lanewise(VectorOperators.LSHL, 13);
            IntVector sign = v.and(0x8000).lanewise(VectorOperators.LSHL, 16);
            IntVector bits = magnitude.reinterpretAsFloats().mul(REBIAS).reinterpretAsInts();
            VectorMask<Integer> special = magnitude.compare(VectorOperators.GE, 0x7C00 << 13);
            bits.lanewise(VectorOperators.OR, 0x7F800000, special).or(sign).reinterpretAsFloats().intoArray(to, toAt + i);
        }
        for (; i < n; i++) to[toAt + i] = half(w, at + 2L * i);
    }

    private static void brains(MemorySegment w, long at, int n, float[] to, int toAt) {
        int i = 0;
        for (; i + N <= n; i += N) sixteen(w, at + 2L * i).lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().intoArray(to, toAt + i);
        for (; i < n; i++) to[toAt + i] = Float.intBitsToFloat(w.get(PlainUnpack.SHORT, at + 2L * i) << 16);
    }

    private static void q8(MemorySegment w, long at, int n, float[] to, int toAt) {
        for (int b = toAt; b < toAt + n; b += 32, at += 34) {
            float d = half(w, at);
            for (int i = 0; i < 32; i += N) floats(signed(w, at + 2 + i)).mul(d).intoArray(to, b + i);
        }
    }

    private static void q4(MemorySegment w, long at, int n, float[] to, int toAt) {
        for (int b = toAt; b < toAt + n; b += 32, at += 18) {
            float d = half(w, at);
            for (int i = 0; i < 16; i += N) {
                IntVector v = unsigned(w, at + 2 + i);
                floats(v.and(15).sub(8)).mul(d).intoArray(to, b + i);
                floats(v.lanewise(VectorOperators.LSHR, 4).sub(8)).mul(d).intoArray(to, b + 16 + i);
            }
        }
    }

    private static void q41(MemorySegment w, long at, int n, float[] to, int toAt) {
        for (int b = toAt; b < toAt + n; b += 32, at += 20) {
            FloatVector d = FloatVector.broadcast(F, half(w, at));
            FloatVector m = FloatVector.broadcast(F, half(w, at + 2));
            for (int i = 0; i < 16; i += N) {
                IntVector v = unsigned(w, at + 4 + i);
                floats(v.and(15)).mul(d).add(m).intoArray(to, b + i);
                floats(v.lanewise(VectorOperators.LSHR, 4)).mul(d).add(m).intoArray(to, b + 16 + i);
            }
        }
    }

    /** Q5_0 and Q5_1: nibbles after 32 fifth bits. */
    private static void q5(MemorySegment w, long at, int n, int size, int high, float[] to, int toAt) {
        boolean zeroPoint = high == 4;
        for (int b = toAt; b < toAt + n; b += 32, at += size) {
            FloatVector d = FloatVector.broadcast(F, half(w, at));
            FloatVector m = FloatVector.broadcast(F, zeroPoint ? half(w, at + 2) : 0);
            int fifth = w.get(PlainUnpack.INT, at + high);
            int bias = zeroPoint ? 0 : 16;
            for (int i = 0; i < 16; i += N) {
                IntVector v = unsigned(w, at + high + 4 + i);
                // lane l wants bit i + l at place 4
                IntVector bits = IntVector.broadcast(I, fifth).lanewise(VectorOperators.LSHR, LANE.add(i));
                IntVector low = v.and(15).or(bits.and(1).lanewise(VectorOperators.LSHL, 4));
                bits = IntVector.broadcast(I, fifth >>> 16).lanewise(VectorOperators.LSHR, LANE.add(i));
                IntVector up = v.lanewise(VectorOperators.LSHR, 4).or(bits.and(1).lanewise(VectorOperators.LSHL, 4));
                floats(low.sub(bias)).mul(d).add(m).intoArray(to, b + i);
                floats(up.sub(bias)).mul(d).add(m).intoArray(to, b + 16 + i);
            }
        }
    }

    private static void q4k(MemorySegment w, long at, int n, float[] to, int toAt) {
        for (int b = toAt; b < toAt + n; b += 256, at += 144) {
            float d = half(w, at);
            float dmin = half(w, at + 2);
            long scales = PlainUnpack.scales(w, at + 4);
            long minima = PlainUnpack.minima(w, at + 4);
            for (int j = 0; j < 8; j += 2) {
                float low = d * byteOf(scales, j), high = d * byteOf(scales, j + 1);
                float lowMin = dmin * byteOf(minima, j), highMin = dmin * byteOf(minima, j + 1);
                for (int i = 0; i < 32; i += N) {
                    IntVector v = unsigned(w, at + 16 + 16L * j + i);
                    floats(v.and(15)).mul(low).sub(lowMin).intoArray(to, b + 32 * j + i);
                    floats(v.lanewise(VectorOperators.LSHR, 4)).mul(high).sub(highMin).intoArray(to, b + 32 * j + 32 + i);
                }
            }
        }
    }

    private static void q5k(MemorySegment w, long at, int n, float[] to, int toAt) {
        for (int b = toAt; b < toAt + n; b += 256, at += 176) {
            float d = half(w, at);
            float dmin = half(w, at + 2);
            long scales = PlainUnpack.scales(w, at + 4);
            long minima = PlainUnpack.minima(w, at + 4);
            for (int j = 0; j < 8; j += 2) {
                float low = d * byteOf(scales, j), high = d * byteOf(scales, j + 1);
                float lowMin = dmin * byteOf(minima, j), highMin = dmin * byteOf(minima, j + 1);
                for (int i = 0; i < 32; i += N) {
                    IntVector v = unsigned(w, at + 48 + 16L * j + i);
                    IntVector h = unsigned(w, at + 16 + i).lanewise(VectorOperators.LSHR, j);
                    IntVector first = v.and(15).or(h.and(1).lanewise(VectorOperators.LSHL, 4));
                    IntVector second = v.lanewise(VectorOperators.LSHR, 4).or(h.and(2).lanewise(VectorOperators.LSHL, 3));
                    floats(first).mul(low).sub(lowMin).intoArray(to, b + 32 * j + i);
                    floats(second).mul(high).sub(highMin).intoArray(to, b + 32 * j + 32 + i);
                }
            }
        }
    }

    private static void q6k(MemorySegment w, long at, int n, float[] to, int toAt) {
        for (int b = toAt; b < toAt + n; b += 256, at += 210) {
            float d = half(w, at + 208);
            for (int i = 0; i < 64; i += N) {
                // 32 positions of each half of 128; each has four values, 32 apart
                int half = i / 32;
                int p = i % 32;
                long low = at + 64L * half + p;
                long scale = at + 192 + 8L * half + p / 16;
                int first = b + 128 * half + p;
                IntVector a = unsigned(w, low);
                IntVector c = unsigned(w, low + 32);
                IntVector h = unsigned(w, at + 128 + 32L * half + p);
                six(a.and(15), h.lanewise(VectorOperators.LSHL, 4), d * w.get(ValueLayout.JAVA_BYTE, scale), to, first);
                six(c.and(15), h.lanewise(VectorOperators.LSHL, 2), d * w.get(ValueLayout.JAVA_BYTE, scale + 2), to, first + 32);
                six(a.lanewise(VectorOperators.LSHR, 4), h, d * w.get(ValueLayout.JAVA_BYTE, scale + 4), to, first + 64);
                six(c.lanewise(VectorOperators.LSHR, 4), h.lanewise(VectorOperators.LSHR, 2), d * w.get(ValueLayout.JAVA_BYTE, scale + 6),
                        to,
                        first + 96);
            }
        }
    }

    private static void six(IntVector low, IntVector high, float d, float[] to, int at) {
        floats(low.or(high.and(0x30)).sub(32)).mul(d).intoArray(to, at);
    }
}
