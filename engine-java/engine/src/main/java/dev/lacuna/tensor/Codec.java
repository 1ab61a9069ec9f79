package dev.lacuna.tensor;

import java.lang.foreign.MemorySegment;

/** Packs and unpacks one format: the definition of what its bytes mean. Written to be read; kernels have their own faster ways. */
public interface Codec {
    /**
     * Unpacks {@code n} values that begin at byte {@code offset} of {@code from}.
     *
     * @param n a whole number of the format's groups
     */
    void decode(MemorySegment from, long offset, float[] to, int at, int n);

    /**
     * Packs {@code n} values, rounding to nearest, to byte {@code offset} of {@code to}.
     *
     * @param n a whole number of the format's groups
     */
    void encode(float[] from, int at, int n, MemorySegment to, long offset);

    /** The codec of a format. */
    static Codec of(Format format) {
        return Codecs.of(format);
    }
}
