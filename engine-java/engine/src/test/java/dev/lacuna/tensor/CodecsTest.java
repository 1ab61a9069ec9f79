package dev.lacuna.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class CodecsTest {
    private static final double HALF_ULP = 0x1p-11; // of a 16-bit float, relative

    /** Sparse formats lose what they do not keep: they have tests of their own. */
    static List<Format> formats() {
        return Format.ALL.stream().filter(f -> f.kind() != Format.Kind.SPARSE).toList();
    }

    static Stream<Format> blocks() {
        return Format.ALL.stream().filter(f -> f.kind() == Format.Kind.BLOCK);
    }

    static Stream<Format> superBlocks() {
        return Format.ALL.stream().filter(f -> f.kind() == Format.Kind.SUPER_BLOCK);
    }

    static Stream<Format> integers() {
        return Format.ALL.stream().filter(f -> f.kind() == Format.Kind.INTEGER);
    }

    static Stream<Format> packed() {
        return Stream.of(blocks(), superBlocks(), integers()).flatMap(s -> s);
    }

    /** Lines of golden-codecs.txt: direction, format, input, output. */
    static Stream<Arguments> golden() {
        try (var in = new BufferedReader(
                new InputStreamReader(CodecsTest.class.getResourceAsStream("golden-codecs.txt"), StandardCharsets.US_ASCII))) {
            return in.lines().map(line -> line.split(" ")).map(f -> Arguments.of(f[0], f[1], f[2], f[3])).toList().stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @ParameterizedTest(name = "{0} {1}")
    @MethodSource
    void golden(String direction, String name, String input, String output) {
        Format format = Format.named(name).orElseThrow();
        byte[] in = Base64.getDecoder().decode(input), out = Base64.getDecoder().decode(output);
        if (direction.equals("encode")) {
            assertArrayEquals(out, encode(format, floats(in)));
            return;
        }
        float[] expected = floats(out), actual = decode(format, in);
        assertEquals(expected.length, actual.length);
        for (int i = 0; i < expected.length; i++) {
            // bits, so that the sign of a zero counts
            assertEquals(Integer.toHexString(Float.floatToRawIntBits(expected[i])), Integer.toHexString(Float.floatToRawIntBits(actual[i])),
                    "value " + i);
        }
    }

    private static float[] floats(byte[] bytes) {
        float[] out = new float[bytes.length / 4];
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(out);
        return out;
    }

    private static byte[] encode(Format format, float[] values) {
        byte[] out = new byte[(int) format.rowBytes(values.length)];
        new Random(1).nextBytes(out); // what was there before must not matter
        Codec.of(format).encode(values, 0, values.length, MemorySegment.ofArray(out), 0);
        return out;
    }

    private static float[] decode(Format format, byte[] bytes) {
        float[] out = new float[(bytes.length - format.rowHeader()) / format.bytes() * format.group()];
        Codec.of(format).decode(MemorySegment.ofArray(bytes), 0, out, 0, out.length);
        return out;
    }

    private static float[] random(long seed, int n, DoubleUnaryOperator shape) {
        Random random = new Random(seed);
        float[] out = new float[n];
        for (int i = 0; i < n; i++) out[i] = (float) shape.applyAsDouble(random.nextGaussian());
        return out;
    }

    /** No value is further away than half a step, or one step at the end that has no level for it, plus the rounding of the scales to 16 bits. */
    @ParameterizedTest
    @MethodSource("blocks")
    void errorsAreWithinTheStep(Format format) {
        long seed = 11;
        float[] values = random(seed, 32 * 200, x -> x * 0.05);
        float[] back = decode(format, encode(format, values));
        for (int b = 0; b < values.length; b += 32) {
            double least = 0, most = 0;
            for (int i = b; i < b + 32; i++) {
                least = Math.min(least, values[i]);
                most = Math.max(most, values[i]);
            }
            double largest = Math.max(-least, most), levels = 1 << format.bits();
            double bound = format.zeroPoint()
                    ? (most - least) / (levels - 1) / 2 + HALF_ULP * (most - 2 * least)
                    : (format.equals(Format.Q8_0) ? largest / (levels - 2) : 2 * largest / levels) + HALF_ULP * largest;
            for (int i = b; i < b + 32; i++) assertEquals(values[i], back[i], bound * 1.0001, "seed " + seed + ", value " + i);
        }
    }

    @ParameterizedTest
    @MethodSource("blocks")
    void packingWhatWasUnpackedChangesNothing(Format format) {
        byte[] once = encode(format, random(12, 32 * 200, x -> x * 0.05));
        assertArrayEquals(once, encode(format, decode(format, once)), "seed 12");
    }

    /** No value is further away than half a step, or a step at an end that zero has moved; zeros stay zeros. */
    @ParameterizedTest
    @MethodSource("integers")
    void integersAreWithinTheStep(Format format) {
        int group = format.zeroPoint() ? format.group() : 256;
        float[] values = random(16, group * 50, x -> x * 0.05 + 0.02);
        for (int i = 0; i < values.length; i += 7) values[i] = 0;
        for (int at = 0; at < values.length; at += group) {
            float[] row = java.util.Arrays.copyOfRange(values, at, at + group), back = decode(format, encode(format, row));
            double least = 0, most = 0;
            for (float v : row) {
                least = Math.min(least, v);
                most = Math.max(most, v);
            }
            double step = format.zeroPoint() ? (most - least) / ((1 << format.bits()) - 1) : Math.max(-least, most) / 127;
            for (int i = 0; i < group; i++) {
                // the zero point has rounded: the range's ends may lie half a step outside
                assertEquals(row[i], back[i], (format.zeroPoint() ? 1 : 0.5) * step * 1.0001, "seed 16, value " + (at + i));
                if (row[i] == 0) assertEquals(0, back[i]);
            }
        }
    }

    /** The bytes of a row by hand. */
    @Test
    void integersLieAsTheFormatSays() {
        byte[] row = ByteBuffer.allocate(7).order(ByteOrder.LITTLE_ENDIAN).putFloat(0.5f).put((byte) -128).put((byte) 127).put((byte) 3)
                .array();
        assertArrayEquals(new float[]{-64, 63.5f, 1.5f}, decode(Format.I8_ROW, row));
        byte[] nibbles = new byte[21];
        ByteBuffer.wrap(nibbles).order(ByteOrder.LITTLE_ENDIAN).putFloat(2).put((byte) 3);
        nibbles[5] = (byte) 0xF1;
        float[] values = decode(Format.i4Group(32), nibbles);
        assertEquals(2 * (1 - 3), values[0]);
        assertEquals(2 * (15 - 3), values[16]);
        assertEquals(2 * -3, values[1]);
        byte[] bytes = new byte[37];
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putFloat(2).put((byte) -3).put((byte) -5);
        assertEquals(2 * (-5 + 3), decode(Format.i8Group(32), bytes)[0]);
        assertEquals(2 * 3, decode(Format.i8Group(32), bytes)[31]);
        assertThrows(IllegalArgumentException.class, () -> Format.i4Group(48));
    }

    static Stream<Arguments> superBlocksAndData() {
        DoubleUnaryOperator normal = x -> x * 0.05, heavy = x -> x * x * x * 0.01, shifted = x -> x * 0.05 + 0.1;
        return superBlocks().flatMap(f -> Stream.of(Arguments.of(f, "normal", normal), Arguments.of(f, "heavy tails", heavy),
                Arguments.of(f, "shifted", shifted)));
    }

    /** The error against that of scales and minima which are chosen by a dense search and stored exactly, which no packing can do. */
    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("superBlocksAndData")
    void superBlocksAreNearlyAsGoodAsADenseSearch(Format format, String data, DoubleUnaryOperator shape) {
        float[] values = random(13, 256 * 12, shape);
        float[] back = decode(format, encode(format, values));
        double error = 0, dense = 0;
        for (int i = 0; i < values.length; i++) error += Math.pow(values[i] - back[i], 2);
        int size = format.zeroPoint() ? 32 : 16;
        for (int at = 0; at < values.length; at += size) dense += dense(format, values, at, size);
        double ratio = Math.sqrt(error / dense);
        System.out.printf("%s on %s data: RMS error %.4f of a dense search's%n", format, data, ratio);
        assertTrue(ratio < 1.05, "seed 13: RMS error is " + ratio + " of a dense search's");
    }

    private static double dense(Format format, float[] x, int at, int size) {
        int levels = 1 << format.bits(), bias = format.zeroPoint() ? 0 : levels / 2;
        double least = 0, most = 0, best = Double.POSITIVE_INFINITY;
        for (int i = at; i < at + size; i++) {
            least = Math.min(least, x[i]);
            most = Math.max(most, x[i]);
        }
        double largest = Math.max(-least, most) * (-least > most ? -1 : 1);
        for (int k = 0; k < 100; k++) {
            for (int l = 0; l < (format.zeroPoint() ? 15 : 1); l++) {
                double scale = (format.zeroPoint() ? (most - least) / (levels - 1) : largest / -bias) * (0.85 + k * 0.003);
                double min = format.zeroPoint() ? -least * (1.1 - l * 0.02) : 0;
                for (int again = 0; again < 3; again++) {
                    double n = size, q1 = 0, q2 = 0, x1 = 0, qx = 0, x2 = 0;
                    for (int i = at; i < at + size; i++) {
                        double q = Math.clamp(Math.rint((x[i] + min) / scale), -bias, levels - 1 - bias);
                        q1 += q;
                        q2 += q * q;
                        x1 += x[i];
                        qx += q * x[i];
                        x2 += (double) x[i] * x[i];
                    }
                    boolean shift = format.zeroPoint() && q1 * qx > q2 * x1;
                    scale = shift ? (n * qx - q1 * x1) / (n * q2 - q1 * q1) : qx / q2;
                    min = shift ? (q1 * qx - q2 * x1) / (n * q2 - q1 * q1) : 0;
                    best = Math.min(best, x2 + scale * scale * q2 + n * min * min - 2 * scale * qx + 2 * min * x1 - 2 * scale * min * q1);
                }
            }
        }
        return best;
    }

    @ParameterizedTest
    @MethodSource("packed")
    void constantsAndZerosSurvive(Format format) {
        for (float value : new float[]{0, 0.5f, -0.5f, 1000}) {
            float[] values = new float[256];
            java.util.Arrays.fill(values, value);
            float[] back = decode(format, encode(format, values));
            for (float b : back) assertEquals(value, b, Math.max(Math.abs(value) / 120, Float.MIN_VALUE));
        }
        float[] tiny = random(14, 256, x -> x * 1e-30);
        if (format.kind() == Format.Kind.INTEGER) return; // their scales hold it
        for (float b : decode(format, encode(format, tiny))) assertEquals(0, Math.abs(b));
    }

    @ParameterizedTest
    @MethodSource("formats")
    void whatCannotBePackedIsRefused(Format format) {
        if (!format.equals(Format.F32)) {
            for (float bad : new float[]{Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
                float[] values = new float[256];
                values[77] = bad;
                String message = assertThrows(IllegalArgumentException.class, () -> encode(format, values)).getMessage();
                assertTrue(message.contains(format.name()) && message.contains("77") && message.contains(Float.toString(bad)), message);
            }
            float[] large = new float[256];
            large[5] = Float.MAX_VALUE;
            // scales in single precision reach as far as the values
            if (format.kind() != Format.Kind.INTEGER) assertThrows(IllegalArgumentException.class, () -> encode(format, large));
        }
        if (format.group() > 1) {
            Codec codec = Codec.of(format);
            MemorySegment room = MemorySegment.ofArray(new byte[2048]);
            assertThrows(IllegalArgumentException.class, () -> codec.encode(new float[256], 0, format.group() - 1, room, 0));
            assertThrows(IllegalArgumentException.class, () -> codec.decode(room, 0, new float[256], 0, format.group() + 1));
        }
    }

    @ParameterizedTest
    @CsvSource({"3f808000,3f80", "3f818000,3f82", "3f808001,3f81", "80000000,8000", "7f7fffff,7f80", "7f800000,7f80", "ff800001,ffc0",
            "7fc00000,7fc0"})
    void bfloat16RoundsToNearestEven(String bits, String expected) {
        short rounded = Codec.floatToBfloat16(Float.intBitsToFloat(Integer.parseUnsignedInt(bits, 16)));
        assertEquals(expected, String.format("%04x", rounded));
    }

    @ParameterizedTest
    @MethodSource("packed")
    void tensorsAreRepackedRowByRow(Format format) {
        float[] values = random(15, 3 * 512, x -> x);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment data = arena.allocate(values.length * 4L);
            Codec.of(Format.F32).encode(values, 0, values.length, data, 0);
            Tensor plain = new Tensor("t", Format.F32, 3, 512, data);
            Tensor packed = plain.as(format, arena);
            assertEquals(format, packed.format());
            for (int r = 0; r < 3; r++) {
                byte[] row = encode(format, java.util.Arrays.copyOfRange(values, r * 512, (r + 1) * 512));
                assertArrayEquals(row, packed.slice(r, r + 1).data().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE));
                assertArrayEquals(decode(format, row), packed.as(Format.F32, arena).row(r));
            }
            assertSame(packed, packed.as(format, arena));
        }
    }

    @Test
    void repackingNamesTheRowThatFails() {
        float[] values = new float[64];
        values[40] = Float.NaN;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment data = arena.allocate(256);
            Codec.of(Format.F32).encode(values, 0, 64, data, 0);
            Tensor tensor = new Tensor("w", Format.F32, 2, 32, data);
            String message = assertThrows(IllegalArgumentException.class, () -> tensor.as(Format.Q8_0, arena)).getMessage();
            assertTrue(message.contains("tensor w, row 1") && message.contains("NaN"), message);
            assertThrows(IllegalArgumentException.class, () -> tensor.as(Format.Q4_K, arena));
            assertNotEquals(0, tensor.as(Format.F32, arena).data().byteSize());
        }
    }
}
