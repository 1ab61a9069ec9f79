package dev.lacuna.kernels.cpu;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The vector shapes of this machine. Everything is written for 4, 8 or 16 floats; conditions on these constants cost nothing once compiled. Only
 * classes behind the provider's check may touch this one.
 */
final class Lanes {
    static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
    static final int N = F.length();
    static final int BITS = F.vectorBitSize();
    static final VectorSpecies<Integer> I = IntVector.SPECIES_PREFERRED;
    static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;

    private static final VectorSpecies<Byte> BYTES = BITS >= 512 ? ByteVector.SPECIES_128 : ByteVector.SPECIES_64;
    private static final VectorSpecies<Short> HALVES = BITS >= 512
            ? ShortVector.SPECIES_256
            : BITS >= 256
                    ? ShortVector.SPECIES_128
                    : ShortVector.SPECIES_64;
    private static final IntVector BYTE_OFFSETS = IntVector.zero(I).addIndex(8);

    private Lanes() {}

    /** {@code N} unsigned bytes as ints. */
    static IntVector unsigned(MemorySegment from, long at) {
        if (N >= 8)
            return (IntVector) ByteVector.fromMemorySegment(BYTES, from, at, ORDER).convertShape(VectorOperators.ZERO_EXTEND_B2I, I, 0);
        return IntVector.broadcast(I, from.get(PlainUnpack.INT, at)).lanewise(VectorOperators.LSHR, BYTE_OFFSETS).and(0xFF);
    }

    /** {@code N} signed bytes as ints. */
    static IntVector signed(MemorySegment from, long at) {
        if (N >= 8) return (IntVector) ByteVector.fromMemorySegment(BYTES, from, at, ORDER).convertShape(VectorOperators.B2I, I, 0);
        return unsigned(from, at).lanewise(VectorOperators.LSHL, 24).lanewise(VectorOperators.ASHR, 24);
    }

    /** {@code N} 16-bit values as ints, not extended by sign. */
    static IntVector sixteen(MemorySegment from, long at) {
        return (IntVector) ShortVector.fromMemorySegment(HALVES, from, at, ORDER).convertShape(VectorOperators.ZERO_EXTEND_S2I, I, 0);
    }

    static FloatVector floats(IntVector v) {
        return (FloatVector) v.convert(VectorOperators.I2F, 0);
    }

    /** The sum over lanes, always in the same order: a reduction's order is the compiler's, and differs before and after it has compiled. */
    static float total(FloatVector v, float[] lanes) {
        v.intoArray(lanes, 0);
        return total(lanes, 0);
    }

    static float total(float[] lanes, int at) {
        float a = lanes[at], b = lanes[at + 1], c = lanes[at + 2], d = lanes[at + 3];
        for (int i = 4; i < N; i += 4) {
            a += lanes[at + i];
            b += lanes[at + i + 1];
            c += lanes[at + i + 2];
            d += lanes[at + i + 3];
        }
        return a + b + (c + d);
    }
}
