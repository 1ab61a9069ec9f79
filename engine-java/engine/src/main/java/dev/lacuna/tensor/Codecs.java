package dev.lacuna.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Map;

/** The table from format to codec. */
final class Codecs {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final Map<Format, Codec> TABLE = Map.of(Format.F32, new F32());

    private Codecs() {}

    static Codec of(Format format) {
        Codec codec = TABLE.get(format);
        if (codec == null) throw new IllegalArgumentException("no codec for format " + format + "; there are " + TABLE.keySet());
        return codec;
    }

    private static final class F32 implements Codec {
        @Override
        public void decode(MemorySegment from, long offset, float[] to, int at, int n) {
            MemorySegment.copy(from, FLOAT, offset, to, at, n);
        }

        @Override
        public void encode(float[] from, int at, int n, MemorySegment to, long offset) {
            MemorySegment.copy(from, at, to, FLOAT, offset, n);
        }
    }
}
