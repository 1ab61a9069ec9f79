package dev.lacuna.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** I8_ROW: a row's scale and its signed bytes, {@code scale * q}; -128 is read but never written. */
record IntegerRows(Format format) implements Codec {
    private static final int MOST = 127;

    @Override
    public void decode(MemorySegment from, long offset, float[] to, int at, int n) {
        float scale = from.get(Codecs.FLOAT, offset);
        long first = offset + format.rowHeader();
        for (int i = 0; i < n; i++) to[at + i] = scale * from.get(ValueLayout.JAVA_BYTE, first + i);
    }

    @Override
    public void encode(float[] from, int at, int n, MemorySegment to, long offset) {
        Codecs.check(format, from, at, n);
        float largest = 0;
        for (int i = at; i < at + n; i++) largest = Math.max(largest, Math.abs(from[i]));
        float scale = IntegerGroups.scale(largest / MOST);
        to.set(Codecs.FLOAT, offset, scale);
        long first = offset + format.rowHeader();
        for (int i = 0; i < n; i++) {
            // a scale that is denormal has rounded by much
            to.set(ValueLayout.JAVA_BYTE, first + i, (byte) Math.clamp(Math.rint((double) from[at + i] / scale), -MOST, MOST));
        }
    }
}
