package dev.lacuna.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * I4_GROUP and I8_GROUP: a scale, a zero point and the integers of each group, {@code scale * (q - zero)}. Packing takes the least and the largest value
 * and zero itself as the range, so that zero stays zero.
 *
 * @param plane  where the integers are
 * @param signed bytes are stored signed, nibbles unsigned
 */
record IntegerGroups(Format format, Plane plane, boolean signed) implements Codec {
    static final int ZERO = Float.BYTES;
    static final int HEADER = ZERO + 1;

    static IntegerGroups of(Format format) {
        return format.bits() == 4
                ? new IntegerGroups(format, new Plane(HEADER, 4, 16), false)
                : new IntegerGroups(format, new Plane(HEADER, 8, 32), true);
    }

    /** A step of zero would divide by zero; any other represents the zeros that it stands for. */
    static float scale(float step) {
        return step == 0 ? 1 : step;
    }

    private int least() {
        return signed ? -(1 << (format.bits() - 1)) : 0;
    }

    private int read(int stored) {
        return signed ? (byte) stored : stored;
    }

    @Override
    public void decode(MemorySegment from, long offset, float[] to, int at, int n) {
        Codecs.whole(format, n);
        for (int b = 0; b < n / format.group(); b++) {
            long block = offset + (long) b * format.bytes();
            int first = at + b * format.group();
            float scale = from.get(Codecs.FLOAT, block);
            int zero = from.get(ValueLayout.JAVA_BYTE, block + ZERO);
            for (int i = 0; i < format.group(); i++) to[first + i] = scale * (read(plane.get(from, block, i)) - zero);
        }
    }

    @Override
    public void encode(float[] from, int at, int n, MemorySegment to, long offset) {
        Codecs.check(format, from, at, n);
        for (int b = 0; b < n / format.group(); b++) pack(from, at + b * format.group(), to, offset + (long) b * format.bytes());
    }

    private void pack(float[] from, int first, MemorySegment to, long block) {
        double least = 0, most = 0;
        for (int i = first; i < first + format.group(); i++) {
            least = Math.min(least, from[i]);
            most = Math.max(most, from[i]);
        }
        int top = (1 << format.bits()) - 1;
        float scale = scale((float) ((most - least) / top));
        if (!Float.isFinite(scale * top))
            throw new IllegalArgumentException(format + " cannot hold the range from " + least + " to " + most);
        int zero = least() + (int) Math.clamp(Math.rint(-least / scale), 0.0, top);
        to.asSlice(block, format.bytes()).fill((byte) 0);
        to.set(Codecs.FLOAT, block, scale);
        to.set(ValueLayout.JAVA_BYTE, block + ZERO, (byte) zero);
        for (int i = 0; i < format.group(); i++) {
            int q = (int) Math.clamp(Math.rint(from[first + i] / (double) scale) + zero, least(), least() + (double) top);
            plane.put(to, block, i, q & top);
        }
    }
}
