package dev.lacuna.kernels.cpu;

import dev.lacuna.tensor.Codec;
import dev.lacuna.tensor.Format;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/** Unpacks rows of weights; the frequent formats faster than their codecs do. */
final class PlainUnpack {
    static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;

    private PlainUnpack() {}

    static float half(MemorySegment w, long at) {
        return Float.float16ToFloat(w.get(SHORT, at));
    }

    /** The eight 6-bit scales of a Q4_K or Q5_K block as the bytes of a number, out of its 12 bytes at {@code at}. */
    static long scales(MemorySegment w, long at) {
        return sixBits(w.get(INT, at), w.get(INT, at + 8));
    }

    /** Its eight minima. */
    static long minima(MemorySegment w, long at) {
        return sixBits(w.get(INT, at + 4), w.get(INT, at + 8) >>> 4);
    }

    private static long sixBits(int own, int low) {
        int upper = (low & 0x0F0F0F0F) | ((own >>> 2) & 0x30303030);
        return ((long) upper << 32) | (own & 0x3F3F3F3FL);
    }

    static int byteOf(long eight, int i) {
        return (int) (eight >>> (8 * i)) & 0xFF;
    }

    static void row(Format format, MemorySegment w, long at, int n, float[] to, int toAt) {
        switch (format.name()) {
            case "F16" -> {
                for (int i = 0; i < n; i++) to[toAt + i] = half(w, at + 2L * i);
            }
            case "BF16" -> {
                for (int i = 0; i < n; i++) to[toAt + i] = Float.intBitsToFloat(w.get(SHORT, at + 2L * i) << 16);
            }
            case "Q8_0" -> {
                for (int b = 0; b < n; b += 32, at += 34) {
                    float d = half(w, at);
                    for (int i = 0; i < 32; i++) to[toAt + b + i] = d * w.get(BYTE, at + 2 + i);
                }
            }
            case "Q4_0" -> {
                for (int b = 0; b < n; b += 32, at += 18) nibbles(w, at + 2, half(w, at), 8, 0, to, toAt + b);
            }
            case "Q4_1" -> {
                for (int b = 0; b < n; b += 32, at += 20) nibbles(w, at + 4, half(w, at), 0, half(w, at + 2), to, toAt + b);
            }
            case "Q4_K" -> {
                for (int b = 0; b < n; b += 256, at += 144) superBlock(w, at, to, toAt + b);
            }
            default -> {
                if (format.kind() == Format.Kind.SPARSE) sparse(format, w, at, n, to, toAt);
                else
                    Codec.of(format).decode(w, at, to, toAt, n);
            }
        }
    }

    /** Rows under masks, a word of 64 values at a time. */
    private static void sparse(Format format, MemorySegment w, long at, int n, float[] to, int toAt) {
        if (n % format.group() != 0) {
            // the last group has padding, for which there is no room
            Codec.of(format).decode(w, at, to, toAt, n);
            return;
        }
        boolean own = format.rowHeader() == 0;
        float d = own ? 0 : w.get(FLOAT, at);
        long p = at + format.rowHeader();
        Arrays.fill(to, toAt, toAt + n, 0);
        for (int run = toAt; run < toAt + n; run += format.group()) {
            if (own) d = w.get(FLOAT, p);
            long masks = own ? p + Float.BYTES : p;
            p = masks + format.group() / 8;
            for (int word = 0; word < format.group(); word += 64) {
                long mask = w.get(LONG, masks + word / 8);
                p += format.bits() == 8 ? bytes(mask, w, p, d, to, run + word) : nibbles(mask, w, p, d, to, run + word);
            }
        }
    }

    /** Puts the stored values of a word in their places and returns their bytes. */
    static int bytes(long mask, MemorySegment w, long at, float d, float[] to, int toAt) {
        int i = 0;
        for (long left = mask; left != 0; left &= left - 1) to[toAt + Long.numberOfTrailingZeros(left)] = d * w.get(BYTE, at + i++);
        return i;
    }

    static int nibbles(long mask, MemorySegment w, long at, float d, float[] to, int toAt) {
        int i = 0;
        for (long left = mask; left != 0; left &= left - 1, i++) {
            to[toAt + Long.numberOfTrailingZeros(left)] = d * (((w.get(BYTE, at + i / 2) >> (4 * (i % 2))) & 15) - 8);
        }
        return (i + 1) / 2;
    }

    private static void nibbles(MemorySegment w, long at, float d, int bias, float m, float[] to, int toAt) {
        for (int i = 0; i < 16; i++) {
            int v = w.get(BYTE, at + i);
            to[toAt + i] = d * ((v & 15) - bias) + m;
            to[toAt + i + 16] = d * (((v >> 4) & 15) - bias) + m;
        }
    }

    private static void superBlock(MemorySegment w, long at, float[] to, int toAt) {
        float d = half(w, at);
        float dmin = half(w, at + 2);
        long scales = scales(w, at + 4);
        long minima = minima(w, at + 4);
        for (int j = 0; j < 8; j += 2) {
            float low = d * byteOf(scales, j);
            float high = d * byteOf(scales, j + 1);
            float lowMin = dmin * byteOf(minima, j);
            float highMin = dmin * byteOf(minima, j + 1);
            for (int i = 0; i < 32; i++) {
                int v = w.get(BYTE, at + 16L + 16L * j + i);
                to[toAt + 32 * j + i] = low * (v & 15) - lowMin;
                to[toAt + 32 * j + 32 + i] = high * ((v >> 4) & 15) - highMin;
            }
        }
    }
}
