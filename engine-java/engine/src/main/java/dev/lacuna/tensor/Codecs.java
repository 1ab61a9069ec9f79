package dev.lacuna.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The table from format to codec, and what all codecs share. */
final class Codecs {
    static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final Map<Format, Codec> TABLE = table();

    private Codecs() {}

    private static Map<Format, Codec> table() {
        List<Codec> codecs = new ArrayList<>(List.of(new F32(), new Half(Format.F16), new Half(Format.BF16), //
                new Blocks(Format.Q8_0, new Plane(2, 8, 32), null), //
                new Blocks(Format.Q4_0, new Plane(2, 4, 16), null), //
                new Blocks(Format.Q4_1, new Plane(4, 4, 16), null), //
                new Blocks(Format.Q5_0, new Plane(6, 4, 16), new Plane(2, 1, 1)), //
                new Blocks(Format.Q5_1, new Plane(8, 4, 16), new Plane(4, 1, 1)), //
                new SuperBlocks(Format.Q4_K, new Plane(16, 4, 32), null), //
                new SuperBlocks(Format.Q5_K, new Plane(48, 4, 32), new Plane(16, 1, 32)), //
                new SuperBlocks(Format.Q6_K, new Plane(0, 4, 64), new Plane(128, 2, 32))));
        for (Format format : Format.ALL) {
            if (format.kind() == Format.Kind.INTEGER)
                codecs.add(format.rowHeader() > 0 ? new IntegerRows(format) : IntegerGroups.of(format));
            if (format.kind() == Format.Kind.SPARSE) codecs.add(new SparseRows(format));
        }
        Map<Format, Codec> table = new LinkedHashMap<>();
        for (Codec codec : codecs) table.put(codec.format(), codec);
        return table;
    }

    static Codec of(Format format) {
        Codec codec = TABLE.get(format);
        if (codec == null) throw new IllegalArgumentException("no codec for format " + format + "; there are " + TABLE.keySet());
        return codec;
    }

    static float half(MemorySegment from, long offset) {
        return Float.float16ToFloat(from.get(SHORT, offset));
    }

    /** Stores a scale or minimum and says what it has become. */
    static float half(MemorySegment to, long offset, float value, Format format) {
        short bits = Float.floatToFloat16(value);
        float stored = Float.float16ToFloat(bits);
        if (!Float.isFinite(stored))
            throw new IllegalArgumentException(format + " keeps scales in 16 bits, which end at 65504: cannot hold " + value);
        to.set(SHORT, offset, bits);
        return stored;
    }

    /** Refuses part of a block and numbers that no format can scale. */
    static void check(Format format, float[] from, int at, int n) {
        whole(format, n);
        for (int i = at; i < at + n; i++) {
            if (!Float.isFinite(from[i]))
                throw new IllegalArgumentException("cannot pack " + from[i] + " (value " + (i - at) + ") as " + format);
        }
    }

    static void whole(Format format, int n) {
        if (!format.packs(n))
            throw new IllegalArgumentException(n + " values are not a whole number of " + format + "'s blocks of " + format.group());
    }

    private record F32() implements Codec {
        @Override
        public Format format() {
            return Format.F32;
        }

        @Override
        public void decode(MemorySegment from, long offset, float[] to, int at, int n) {
            MemorySegment.copy(from, FLOAT, offset, to, at, n);
        }

        @Override
        public void encode(float[] from, int at, int n, MemorySegment to, long offset) {
            MemorySegment.copy(from, at, to, FLOAT, offset, n);
        }
    }

    /** The two floating-point formats of 16 bits. */
    private record Half(Format format) implements Codec {
        private float toFloat(short bits) {
            return format.equals(Format.F16) ? Float.float16ToFloat(bits) : Codec.bfloat16ToFloat(bits);
        }

        private short toHalf(float value) {
            return format.equals(Format.F16) ? Float.floatToFloat16(value) : Codec.floatToBfloat16(value);
        }

        @Override
        public void decode(MemorySegment from, long offset, float[] to, int at, int n) {
            boolean half = format.equals(Format.F16);
            for (int i = 0; i < n; i++) {
                short bits = from.get(SHORT, offset + 2L * i);
                to[at + i] = half ? Float.float16ToFloat(bits) : Codec.bfloat16ToFloat(bits);
            }
        }

        @Override
        public void encode(float[] from, int at, int n, MemorySegment to, long offset) {
            check(format, from, at, n);
            for (int i = 0; i < n; i++) {
                short bits = toHalf(from[at + i]);
                if (!Float.isFinite(toFloat(bits)))
                    throw new IllegalArgumentException(from[at + i] + " (value " + i + ") is too large for " + format);
                to.set(SHORT, offset + 2L * i, bits);
            }
        }
    }
}
