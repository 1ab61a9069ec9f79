package dev.lacuna.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Rows of which only some values are stored: I8_24, I4_24, I8_BITMASK, I4_BITMASK. A row is, after its scale where it has one, runs of a group each: the
 * group's scale where it has one, a mask of one bit a value (bit i of a little-endian word of 64: value i is stored), then the stored values in order,
 * those of each 64 beginning at a byte: signed bytes, or nibbles that stand for -8 to 7, the low half of a byte first. What is not stored is zero.
 *
 * <p>In 2:4 exactly two of every four are stored (Mishra et al., 2021); else as many as there are, so that rows differ in length.
 */
record SparseRows(Format format) implements Codec {
    /** What magnitude pruning keeps of each row where nobody says otherwise. */
    static final double DENSITY = 0.4;
    private static final int WORD = 64;
    private static final ValueLayout.OfLong MASK = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** A run's own scale comes first. */
    private int runHeader() {
        return format.rowHeader() > 0 ? 0 : Float.BYTES;
    }

    /** Bytes of the stored values of 64. */
    private int bytes(long mask) {
        return (Long.bitCount(mask) * format.bits() + 7) / 8;
    }

    @Override
    public void decode(MemorySegment from, long offset, float[] to, int at, int n) {
        long p = offset + format.rowHeader();
        float scale = format.rowHeader() > 0 ? from.get(Codecs.FLOAT, offset) : 0;
        for (int run = at; run < at + n; run += format.group()) {
            if (runHeader() > 0) scale = from.get(Codecs.FLOAT, p);
            long masks = p + runHeader();
            p = masks + format.group() / 8;
            for (int word = 0; word < format.group(); word += WORD) {
                long mask = from.get(MASK, masks + word / 8);
                int first = run + word, end = Math.min(first + WORD, at + n);
                if (first < end) Arrays.fill(to, first, end, 0);
                int stored = 0;
                for (long left = mask; left != 0; left &= left - 1) {
                    int i = first + Long.numberOfTrailingZeros(left);
                    // what the padding holds belongs to nobody
                    if (i < end) to[i] = scale * value(from, p, stored++);
                }
                p += bytes(mask);
            }
        }
    }

    private int value(MemorySegment from, long at, int i) {
        if (format.bits() == 8) return from.get(ValueLayout.JAVA_BYTE, at + i);
        return (from.get(ValueLayout.JAVA_BYTE, at + i / 2) >> (4 * (i % 2)) & 15) - 8;
    }

    /** Packs, keeping the largest two of each four, or the largest {@link #DENSITY} of all. */
    @Override
    public void encode(float[] from, int at, int n, MemorySegment to, long offset) {
        byte[] row = pack(from, at, n, DENSITY);
        MemorySegment.copy(row, 0, to, ValueLayout.JAVA_BYTE, offset, row.length);
    }

    /** The bytes of a row. */
    byte[] pack(float[] from, int at, int n, double density) {
        Codecs.check(format, from, at, n);
        if (n % format.group() != 0) return packWhole(padded(from, at, n), n, density);
        return packWhole(at == 0 && from.length == n ? from : Arrays.copyOfRange(from, at, at + n), n, density);
    }

    private float[] padded(float[] from, int at, int n) {
        float[] row = new float[Math.multiplyExact(format.blocks(n), format.group())];
        System.arraycopy(from, at, row, 0, n);
        return row;
    }

    /** Bytes of a row at most where rows differ in length and {@link #DENSITY} of it is kept. */
    long mostBytes(int cols) {
        long blocks = format.blocks(cols);
        long words = blocks * (format.group() / WORD);
        long kept = kept(cols, DENSITY);
        // the nibbles of each 64 values begin at a byte
        long values = format.bits() == 8 ? kept : Math.min(kept, (kept + words) / 2);
        return format.rowHeader() + blocks * runHeader() + words * Long.BYTES + values;
    }

    private static int kept(int n, double density) {
        return (int) Math.round(density * n);
    }

    /** Packs whole groups, of which the first {@code values} values are no padding. */
    private byte[] packWhole(float[] from, int values, double density) {
        int n = from.length;
        boolean[] kept = format.variable() ? largest(from, values, density) : twoOfFour(from);
        byte[] out = new byte[Math
                .toIntExact(format.rowHeader() + (long) n / format.group() * (runHeader() + format.group() / 8 + format.group()))];
        MemorySegment to = MemorySegment.ofArray(out);
        int p = format.rowHeader();
        float scale = 0;
        if (format.rowHeader() > 0) {
            scale = scale(from, 0, n);
            to.set(Codecs.FLOAT, 0, scale);
        }
        for (int run = 0; run < n; run += format.group()) {
            if (runHeader() > 0) {
                scale = scale(from, run, format.group());
                to.set(Codecs.FLOAT, p, scale);
            }
            int masks = p + runHeader();
            p = masks + format.group() / 8;
            for (int word = run; word < run + format.group(); word += WORD) {
                long mask = 0;
                int stored = 0;
                for (int i = word; i < word + WORD; i++) {
                    int q = kept[i] ? quantized(from[i], scale) : 0;
                    // where any number may be stored a zero costs nothing
                    if (!kept[i] || (q == 0 && format.variable())) continue;
                    mask |= 1L << (i - word);
                    put(out, p, stored++, q);
                }
                to.set(MASK, masks + (word - run) / 8, mask);
                p += bytes(mask);
            }
        }
        return Arrays.copyOf(out, p);
    }

    private void put(byte[] out, int at, int i, int q) {
        if (format.bits() == 8) out[at + i] = (byte) q;
        else
            out[at + i / 2] |= (byte) ((q + 8) << (4 * (i % 2)));
    }

    /** Bytes use -127 to 127; of nibbles the side of the largest value gets the level that the other lacks. */
    private float scale(float[] from, int at, int n) {
        float largest = 0;
        for (int i = at; i < at + n; i++) {
            if (Math.abs(from[i]) > Math.abs(largest)) largest = from[i];
        }
        return IntegerGroups.scale(format.bits() == 8 ? Math.abs(largest) / 127 : largest / -8);
    }

    private int quantized(float x, float scale) {
        double q = Math.rint((double) x / scale);
        return (int) (format.bits() == 8 ? Math.clamp(q, -127.0, 127.0) : Math.clamp(q, -8.0, 7.0));
    }

    private static boolean[] twoOfFour(float[] from) {
        boolean[] kept = new boolean[from.length];
        for (int four = 0; four < from.length; four += 4) {
            for (int i = four; i < four + 4; i++) {
                int larger = 0;
                for (int k = four; k < four + 4; k++) {
                    float a = Math.abs(from[k]), b = Math.abs(from[i]);
                    if (a > b || (a == b && k < i)) larger++;
                }
                kept[i] = larger < 2;
            }
        }
        return kept;
    }

    /** The largest magnitudes, ties to the first. */
    private static boolean[] largest(float[] from, int n, double density) {
        int keep = kept(n, density);
        float[] magnitudes = new float[n];
        for (int i = 0; i < n; i++) magnitudes[i] = Math.abs(from[i]);
        float[] sorted = magnitudes.clone();
        Arrays.sort(sorted);
        boolean[] kept = new boolean[from.length];
        if (keep == 0) return kept;
        float least = sorted[n - keep];
        int ties = keep;
        for (float m : magnitudes) {
            if (m > least) ties--;
        }
        for (int i = 0; i < n; i++) kept[i] = magnitudes[i] > least || (magnitudes[i] == least && ties-- > 0);
        return kept;
    }

    /**
     * Checks the masks of one row, which kernels trust.
     *
     * @param length bytes of the row
     * @return what is wrong, or an empty text
     */
    String wrong(MemorySegment from, long offset, int cols, long length) {
        long end = offset + length;
        long p = offset + format.rowHeader();
        for (int run = 0; run < format.blocks(cols) * format.group(); run += format.group()) {
            long masks = p + runHeader();
            p = masks + format.group() / 8;
            if (p > end) return "ends before the mask of column " + run;
            for (int word = 0; word < format.group(); word += WORD) {
                long mask = from.get(MASK, masks + word / 8);
                if (!format.variable() && !twoOfEachFour(mask)) return "does not store two of each four from column " + (run + word);
                p += bytes(mask);
            }
        }
        return p == end ? "" : "has " + length + " bytes, its masks say " + (p - offset);
    }

    private static boolean twoOfEachFour(long mask) {
        long pairs = (mask & 0x5555555555555555L) + (mask >>> 1 & 0x5555555555555555L);
        return (pairs & 0x3333333333333333L) + (pairs >>> 2 & 0x3333333333333333L) == 0x2222222222222222L;
    }
}
