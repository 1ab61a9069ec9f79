package dev.lacuna.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class SparseRowsTest {
    private static final long SEED = 21;

    static Stream<Format> formats() {
        return Format.ALL.stream().filter(f -> f.kind() == Format.Kind.SPARSE);
    }

    static Stream<Format> variable() {
        return formats().filter(Format::variable);
    }

    private static Tensor tensor(float[] v, int rows, int cols) {
        MemorySegment data = MemorySegment.ofArray(new byte[v.length * 4]);
        Codec.of(Format.F32).encode(v, 0, v.length, data, 0);
        return new Tensor("w", Format.F32, rows, cols, data);
    }

    private static float[] random(int n) {
        Random random = new Random(SEED);
        float[] v = new float[n];
        for (int i = 0; i < n; i++) v[i] = (float) random.nextGaussian() * 0.05f;
        return v;
    }

    @Test
    void namesAndSizes() {
        assertEquals(8 + 32, Format.I8_24.bytes());
        assertEquals(4 + 3 * 40, Format.I8_24.rowBytes(192));
        assertEquals(4 + 8 + 16, Format.i4TwoOfFour(64).bytes());
        assertEquals(4 + 16 + 32, Format.i4TwoOfFour(128).bytes());
        assertEquals("I4_BITMASK_128", Format.i4Bitmask(128).name());
        assertThrows(IllegalArgumentException.class, () -> Format.i4Bitmask(32));
        assertEquals(4 + 2 * 40, Format.I8_24.rowBytes(65), "padded");
        assertThrows(IllegalArgumentException.class, () -> Format.I8_BITMASK.rowBytes(0));
        assertThrows(UnsupportedOperationException.class, () -> Format.I8_BITMASK.rowBytes(64));
    }

    /** The bytes of rows by hand. */
    @Test
    void rowsLieAsTheFormatsSay() {
        ByteBuffer row = ByteBuffer.allocate(44).order(ByteOrder.LITTLE_ENDIAN).putFloat(0.5f).putLong(0x3333333333333335L);
        for (int i = 0; i < 32; i++) row.put((byte) (i - 8));
        float[] v = new Tensor("t", Format.I8_24, 1, 64, MemorySegment.ofArray(row.array())).row(0);
        assertArrayEquals(new float[]{-4, 0, -3.5f, 0, -3, -2.5f, 0, 0}, Arrays.copyOf(v, 8));
        assertEquals(11.5f, v[61]);

        ByteBuffer any = ByteBuffer.allocate(24 + 15 + 12).order(ByteOrder.LITTLE_ENDIAN).putLong(24).putLong(39).putLong(51);
        any.putFloat(2).putLong(1L << 63 | 1 << 5 | 1).put(new byte[]{-128, 127, 3}).putFloat(1).putLong(0);
        Tensor mask = new Tensor("t", Format.I8_BITMASK, 2, 64, MemorySegment.ofArray(any.array()));
        mask.check();
        v = mask.row(0);
        assertEquals(-256, v[0]);
        assertEquals(254, v[5]);
        assertEquals(6, v[63]);
        assertEquals(3, IntStream.range(0, 64).filter(i -> mask.row(0)[i] != 0).count());
        assertArrayEquals(new float[64], mask.row(1));
        assertArrayEquals(mask.row(1), mask.slice(1, 2).row(0));

        ByteBuffer nibbles = ByteBuffer.allocate(16 + 4 + 16 + 2 + 1).order(ByteOrder.LITTLE_ENDIAN).putLong(16).putLong(39);
        nibbles.putFloat(1).putLong(0b10011).putLong(2).put((byte) 0xF0).put((byte) 9).put((byte) 0);
        Tensor four = new Tensor("t", Format.i4Bitmask(128), 1, 128, MemorySegment.ofArray(nibbles.array()));
        four.check();
        v = four.row(0);
        assertArrayEquals(new float[]{-8, 7, 0, 0, 1}, Arrays.copyOf(v, 5));
        assertEquals(-8, v[65]);
    }

    /** Two of each four or 40 % of a row are kept, the largest ones, each within half a step. */
    @ParameterizedTest
    @MethodSource("formats")
    void theLargestAreKeptAndRounded(Format format) {
        int rows = 5, cols = 384;
        float[] v = random(rows * cols);
        v[7] = 0;
        try (Arena arena = Arena.ofConfined()) {
            Tensor packed = tensor(v, rows, cols).as(format, arena);
            packed.check();
            for (int r = 0; r < rows; r++) {
                float[] row = Arrays.copyOfRange(v, r * cols, (r + 1) * cols), back = packed.row(r);
                float[] sorted = row.clone();
                for (int i = 0; i < cols; i++) sorted[i] = Math.abs(sorted[i]);
                Arrays.sort(sorted);
                float least = sorted[cols - (int) Math.round(0.4 * cols)];
                int stored = 0;
                for (int i = 0; i < cols; i++) {
                    float[] four = Arrays.copyOfRange(row, i / 4 * 4, i / 4 * 4 + 4);
                    int larger = 0;
                    for (float f : four) larger += Math.abs(f) > Math.abs(row[i]) ? 1 : 0;
                    boolean kept = format.variable() ? Math.abs(row[i]) >= least : larger < 2;
                    float most = 0;
                    int group = format.bits() == 8 ? cols : format.group();
                    for (int k = i / group * group; k < i / group * group + group; k++) most = Math.max(most, Math.abs(row[k]));
                    double step = most / (format.bits() == 8 ? 127 : 8);
                    // a nibble has one level less on one side
                    if (kept)
                        assertEquals(row[i], back[i], (format.bits() == 8 ? 0.5 : 1) * step * 1.0001, "seed " + SEED + ", value " + i);
                    else
                        assertEquals(0, back[i], "value " + i);
                    if (back[i] != 0) stored++;
                }
                assertTrue(stored > cols / 4 && stored <= (format.variable() ? Math.round(0.4 * cols) : cols / 2), "stored " + stored);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("formats")
    void packingWhatWasUnpackedChangesNothing(Format format) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor once = tensor(random(4 * 256), 4, 256).as(format, arena);
            Tensor again = once.as(Format.F32, arena).as(format, arena);
            for (int r = 0; r < 4; r++) assertArrayEquals(once.row(r), again.row(r), 1e-7f, "row " + r);
            Tensor part = once.slice(1, 3);
            part.check();
            assertEquals(2, part.rows());
            assertArrayEquals(once.row(1), part.row(0));
            assertArrayEquals(once.row(2), part.row(1));
            assertArrayEquals(once.toFloats(), again.toFloats(), 1e-7f);
        }
    }

    @ParameterizedTest
    @MethodSource("formats")
    void zerosAndEqualValues(Format format) {
        try (Arena arena = Arena.ofConfined()) {
            assertArrayEquals(new float[128], tensor(new float[128], 1, 128).as(format, arena).row(0));
            float[] same = new float[128];
            Arrays.fill(same, -3);
            float[] back = tensor(same, 1, 128).as(format, arena).row(0);
            int kept = format.variable() ? 51 : 64;
            for (int i = 0; i < 128; i++) {
                boolean first = format.variable() ? i < kept : i % 4 < 2;
                assertEquals(first ? -3 : 0, back[i], 1e-6, "value " + i);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("variable")
    void zerosCostNothing(Format format) {
        try (Arena arena = Arena.ofConfined()) {
            float[] v = random(2 * 256);
            Tensor all = tensor(v, 2, 256).as(format, 1, arena);
            Arrays.fill(v, 0, 256, 0);
            v[3] = 1;
            Tensor some = tensor(v, 2, 256).as(format, 1, arena);
            int scales = format.bits() == 8 ? 4 : 4 * 256 / format.group();
            assertEquals(scales + 256 / 8 + 1, some.offset(1) - some.offset(0), "one value is one byte at most");
            assertTrue(all.offset(1) - all.offset(0) > 100);
            assertEquals(24 + 2 * (scales + 32), tensor(v, 2, 256).as(format, 0, arena).data().byteSize());
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {-0.1, 1.1, Double.NaN})
    void densitiesThatAreNoneAreRefused(double density) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor t = tensor(random(64), 1, 64);
            assertThrows(IllegalArgumentException.class, () -> t.as(Format.I8_BITMASK, density, arena));
            assertThrows(IllegalArgumentException.class, () -> t.as(Format.I8_24, 0.5, arena));
        }
    }

    @ParameterizedTest
    @MethodSource("formats")
    void whatCannotBePackedIsRefused(Format format) {
        try (Arena arena = Arena.ofConfined()) {
            float[] v = random(256);
            v[130] = Float.NaN;
            String message = assertThrows(IllegalArgumentException.class, () -> tensor(v, 2, 128).as(format, arena)).getMessage();
            assertTrue(message.contains("tensor w, row 1") && message.contains("NaN") && message.contains(format.name()), message);
        }
    }

    /** Rows that are no whole groups have zeros after them, which nobody sees and which count for no density. */
    @ParameterizedTest
    @MethodSource("formats")
    void rowsArePadded(Format format) {
        try (Arena arena = Arena.ofConfined()) {
            for (int cols : new int[]{1, 3, 26, 65, 172, 312}) {
                float[] v = random(3 * cols);
                Tensor packed = tensor(v, 3, cols).as(format, arena);
                packed.check();
                int whole = (cols + 127) / 128 * 128;
                float[] wide = new float[3 * whole];
                for (int r = 0; r < 3; r++) System.arraycopy(v, r * cols, wide, r * whole, cols);
                Tensor other = format.variable()
                        ? tensor(wide, 3, whole).as(format, Math.round(0.4 * cols) / (double) whole, arena)
                        : tensor(wide, 3, whole).as(format, arena);
                for (int r = 0; r < 3; r++) assertArrayEquals(Arrays.copyOf(other.row(r), cols), packed.row(r), "row " + r + " of " + cols);
                assertArrayEquals(packed.row(2), packed.slice(2, 3).toFloats());
            }
        }
    }

    /** Each byte of the offset table, and each bit of a mask, that a file could have wrong. */
    @ParameterizedTest
    @MethodSource("variable")
    void wrongOffsetsAreRefused(Format format) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor good = tensor(random(3 * 128), 3, 128).as(format, arena);
            byte[] bytes = good.data().toArray(ValueLayout.JAVA_BYTE);
            ByteBuffer b = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
            long[] table = {b.getLong(0), b.getLong(8), b.getLong(16), b.getLong(24)};
            long[][] wrong = {{0, table[1], table[2], table[3]}, {table[0], table[0] - 1, table[2], table[3]},
                    {table[0], table[2], table[1], table[3]}, {table[0], table[1], bytes.length + 1L, table[3]},
                    {table[0], table[1], table[2], table[3] - 1}, {table[0], Long.MIN_VALUE, table[2], table[3]},
                    {table[0], Long.MAX_VALUE, table[2], table[3]}};
            for (long[] t : wrong) {
                for (int i = 0; i < 4; i++) b.putLong(8 * i, t[i]);
                IllegalArgumentException e = assertThrows(IllegalArgumentException.class,
                        () -> new Tensor("w", format, 3, 128, MemorySegment.ofArray(bytes)));
                assertTrue(e.getMessage().contains("the offset of row"), e.getMessage());
            }
            for (int i = 0; i < 4; i++) b.putLong(8 * i, table[i]);
            assertThrows(IllegalArgumentException.class, () -> new Tensor("w", format, 3, 128, MemorySegment.ofArray(new byte[31])));
            Tensor moved = new Tensor("w", format, 3, 128, MemorySegment.ofArray(bytes));
            moved.check();
            b.putLong(8, table[1] + 1);
            IllegalArgumentException e = assertThrows(IllegalArgumentException.class, moved::check);
            assertTrue(e.getMessage().contains("its masks say") && e.getMessage().contains("w, row"), e.getMessage());
            b.putLong(8, table[0] + 3);
            e = assertThrows(IllegalArgumentException.class, moved::check);
            assertTrue(e.getMessage().contains("w, row"), e.getMessage());
        }
    }

    @Test
    void masksThatAreNotTwoOfFourAreRefused() {
        try (Arena arena = Arena.ofConfined()) {
            for (Format format : new Format[]{Format.I8_24, Format.i4TwoOfFour(64), Format.i4TwoOfFour(128)}) {
                Tensor t = tensor(random(2 * 128), 2, 128).as(format, arena);
                int row = (int) format.rowBytes(128);
                for (int bit = 0; bit < 8; bit++) {
                    byte[] bytes = t.data().toArray(ValueLayout.JAVA_BYTE);
                    bytes[row + 4 + 5] ^= (byte) (1 << bit);
                    Tensor bad = new Tensor("w", format, 2, 128, MemorySegment.ofArray(bytes));
                    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, bad::check);
                    assertTrue(e.getMessage().contains("row 1") && e.getMessage().contains("two of each four"), e.getMessage());
                }
            }
        }
    }
}
