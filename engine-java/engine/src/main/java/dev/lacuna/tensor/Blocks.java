package dev.lacuna.tensor;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Q8_0, Q4_0, Q4_1, Q5_0, Q5_1: 32 integers with one scale {@code d} and, in the formats that end in 1, a minimum {@code m}, both of 16 bits at the
 * block's beginning. A value is {@code d * (q - bias)} or {@code d * q + m}. Packing rounds as the reference code of the format does, bit for bit.
 *
 * @param low  the low bits of the integers
 * @param high the bits above, if there are any
 */
record Blocks(Format format, Plane low, @Nullable Plane high) implements Codec {
    /** What is stored is unsigned; Q8_0 stores a signed byte instead, which is the same as a bias of 128 with the top bit turned. */
    private int bias() {
        return format.zeroPoint() ? 0 : 1 << (format.bits() - 1);
    }

    private boolean signed() {
        return format.equals(Format.Q8_0);
    }

    private int turned() {
        return signed() ? 0x80 : 0;
    }

    @Override
    public void decode(MemorySegment from, long offset, float[] to, int at, int n) {
        Codecs.whole(format, n);
        int bias = bias(), turned = turned();
        for (int b = 0; b < n / format.group(); b++) {
            long block = offset + (long) b * format.bytes();
            int first = at + b * format.group();
            float d = Codecs.half(from, block), m = format.zeroPoint() ? Codecs.half(from, block + 2) : 0;
            for (int i = 0; i < format.group(); i++) {
                int q = low.get(from, block, i) ^ turned;
                if (high != null) q |= high.get(from, block, i) << low.bits();
                float value = d * (q - bias);
                to[first + i] = format.zeroPoint() ? value + m : value;
            }
        }
    }

    @Override
    public void encode(float[] from, int at, int n, MemorySegment to, long offset) {
        Codecs.check(format, from, at, n);
        for (int b = 0; b < n / format.group(); b++) pack(from, at + b * format.group(), to, offset + (long) b * format.bytes());
    }

    private void pack(float[] from, int first, MemorySegment to, long block) {
        float least = from[first], most = from[first], largest = from[first];
        for (int i = first; i < first + format.group(); i++) {
            least = Math.min(least, from[i]);
            most = Math.max(most, from[i]);
            if (Math.abs(from[i]) > Math.abs(largest)) largest = from[i];
        }
        int top = (1 << format.bits()) - 1;
        // without a minimum the side of the largest value gets the extra level, -bias; Q8_0 leaves that level unused
        float d = format.zeroPoint() ? (most - least) / top : signed() ? Math.abs(largest) / (bias() - 1) : largest / -bias();
        float inverse = d == 0 ? 0 : 1 / d;
        to.asSlice(block, format.bytes()).fill((byte) 0);
        Codecs.half(to, block, d, format);
        if (format.zeroPoint()) Codecs.half(to, block + 2, least, format);
        for (int i = 0; i < format.group(); i++) {
            float x = from[first + i];
            int q;
            if (format.zeroPoint()) {
                q = (int) ((x - least) * inverse + 0.5f);
            } else if (signed()) {
                q = roundAwayFromZero(x * inverse) + bias();
            } else {
                q = (int) (x * inverse + (bias() + 0.5f));
            }
            q = Math.clamp(q, 0, top) ^ turned();
            low.put(to, block, i, q & ((1 << low.bits()) - 1));
            if (high != null) high.put(to, block, i, q >> low.bits());
        }
    }

    private static int roundAwayFromZero(float x) {
        float magnitude = Math.abs(x);
        int floor = (int) magnitude;
        int rounded = magnitude - floor >= 0.5f ? floor + 1 : floor;
        return x < 0 ? -rounded : rounded;
    }
}
