package dev.lacuna.tensor;

import java.lang.foreign.MemorySegment;

/** Packs and unpacks one format: the definition of what its bytes mean. Written to be read; kernels have their own faster ways. */
public interface Codec {
    /** The format that this packs and unpacks. */
    Format format();

    /**
     * Unpacks {@code n} values that begin at byte {@code offset} of {@code from}.
     *
     * @param offset of a block; of a row where the format's rows have a header
     * @param n      a whole number of the format's groups
     */
    void decode(MemorySegment from, long offset, float[] to, int at, int n);

    /**
     * Packs {@code n} values, rounding to nearest, to byte {@code offset} of {@code to}.
     *
     * @param n a whole number of the format's groups
     * @throws IllegalArgumentException if a value is not finite or over the format's range; F32, which is a copy, takes every value
     */
    void encode(float[] from, int at, int n, MemorySegment to, long offset);

    /** The codec of a format. */
    static Codec of(Format format) {
        return Codecs.of(format);
    }

    /** The bfloat16 nearest to a float, ties to even; a NaN stays one, and what is over the range becomes infinite. */
    static short floatToBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) return (short) ((bits >>> 16) | 0x40);
        return (short) ((bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16);
    }

    /** The value of a bfloat16: the upper half of a float. */
    static float bfloat16ToFloat(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }
}
