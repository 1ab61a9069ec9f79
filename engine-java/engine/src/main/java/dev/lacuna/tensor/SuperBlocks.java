package dev.lacuna.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * Q4_K, Q5_K, Q6_K: 256 integers in sub-blocks, each with a small integer scale of its own under the super-block's scale {@code d} of 16 bits. In Q4_K
 * and Q5_K a sub-block of 32 also has a minimum under {@code dmin}, both of 6 bits, and a value is {@code d*scale*q - dmin*min}; in Q6_K a sub-block of
 * 16 has a scale of 8 signed bits and a value is {@code d*scale*(q - 32)}.
 *
 * @param low  the low bits of the integers
 * @param high the bits above, if there are any
 */
record SuperBlocks(Format format, Plane low, @Nullable Plane high) implements Codec {
    private static final int VALUES = 256;
    private static final int SIX_BITS = 4, Q6_SCALES = 192, Q6_D = 208;

    /** Values of a sub-block. */
    int size() {
        return format.zeroPoint() ? 32 : 16;
    }

    int bias() {
        return format.zeroPoint() ? 0 : 32;
    }

    @Override
    public void decode(MemorySegment from, long offset, float[] to, int at, int n) {
        Codecs.whole(format, n);
        int size = size(), bias = bias();
        for (int b = 0; b < n / VALUES; b++) {
            long block = offset + (long) b * format.bytes();
            float d = Codecs.half(from, format.zeroPoint() ? block : block + Q6_D);
            float dmin = format.zeroPoint() ? Codecs.half(from, block + 2) : 0;
            for (int j = 0; j < VALUES / size; j++) {
                int own = format.zeroPoint() ? sixBits(from, block, j, 0) : from.get(ValueLayout.JAVA_BYTE, block + Q6_SCALES + j);
                float scale = d * own, min = format.zeroPoint() ? dmin * sixBits(from, block, j, 4) : 0;
                for (int i = j * size; i < (j + 1) * size; i++) {
                    int q = low.get(from, block, i);
                    if (high != null) q |= high.get(from, block, i) << low.bits();
                    float value = scale * (q - bias);
                    to[at + b * VALUES + i] = format.zeroPoint() ? value - min : value;
                }
            }
        }
    }

    /**
     * Scale ({@code which} 0) or minimum (4) of sub-block j, out of 12 bytes: four bytes hold the scales 0 to 3 and, in their top two bits, the upper
     * bits of 4 to 7; four more do it for the minima; the last four hold the lower four bits of scale and minimum 4 to 7.
     */
    private static int sixBits(MemorySegment from, long block, int j, int which) {
        int own = from.get(ValueLayout.JAVA_BYTE, block + SIX_BITS + which + j % 4);
        if (j < 4) return own & 0x3F;
        return ((from.get(ValueLayout.JAVA_BYTE, block + SIX_BITS + 8 + j % 4) >> which) & 0xF) | ((own & 0xC0) >> 2);
    }

    private static void putSixBits(MemorySegment to, long block, int j, int which, int value) {
        long own = block + SIX_BITS + which + j % 4;
        if (j < 4) {
            or(to, own, value);
        } else {
            or(to, block + SIX_BITS + 8 + j % 4, (value & 0xF) << which);
            or(to, own, (value >> 4) << 6);
        }
    }

    private static void or(MemorySegment to, long at, int bits) {
        to.set(ValueLayout.JAVA_BYTE, at, (byte) (to.get(ValueLayout.JAVA_BYTE, at) | bits));
    }

    @Override
    public void encode(float[] from, int at, int n, MemorySegment to, long offset) {
        Codecs.check(format, from, at, n);
        SuperBlockFit fit = new SuperBlockFit(format, size(), bias());
        for (int b = 0; b < n / VALUES; b++) {
            fit.of(from, at + b * VALUES);
            write(fit, to, offset + (long) b * format.bytes());
        }
    }

    private void write(SuperBlockFit fit, MemorySegment to, long block) {
        to.asSlice(block, format.bytes()).fill((byte) 0);
        Codecs.half(to, format.zeroPoint() ? block : block + Q6_D, fit.d(), format);
        if (format.zeroPoint()) Codecs.half(to, block + 2, fit.dmin(), format);
        for (int j = 0; j < VALUES / size(); j++) {
            if (format.zeroPoint()) {
                putSixBits(to, block, j, 0, fit.scale(j));
                putSixBits(to, block, j, 4, fit.min(j));
            } else {
                to.set(ValueLayout.JAVA_BYTE, block + Q6_SCALES + j, (byte) fit.scale(j));
            }
        }
        for (int i = 0; i < VALUES; i++) {
            int q = fit.q(i) + bias();
            low.put(to, block, i, q & ((1 << low.bits()) - 1));
            if (high != null) high.put(to, block, i, q >> low.bits());
        }
    }
}
