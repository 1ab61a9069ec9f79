package dev.lacuna.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.tensor.Codec;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The loops of both tiers by themselves. */
class KernelsTest {
    private static final long SEED = Long.getLong("lacuna.test.seed", System.nanoTime());
    private static final String AGAIN = "repeat with -Dlacuna.test.seed=" + SEED;

    static Stream<Kernels> tiers() {
        return Stream.of(new PlainKernels(), new VectorKernels());
    }

    static Stream<Arguments> tiersAndFormats() {
        return tiers().flatMap(k -> Format.ALL.stream().map(f -> Arguments.of(k, f)));
    }

    private static float[] gaussian(int n) {
        SplittableRandom random = new SplittableRandom(SEED);
        float[] x = new float[n];
        for (int i = 0; i < n; i++) x[i] = (float) random.nextGaussian();
        return x;
    }

    /** Bytes of every pattern, whose values are finite. */
    private static Tensor packed(Format format, int rows, int cols, Arena arena) {
        if (format.kind() == Format.Kind.SPARSE) {
            MemorySegment floats = arena.allocate(4L * rows * cols);
            Codec.of(Format.F32).encode(gaussian(rows * cols), 0, rows * cols, floats, 0);
            return new Tensor("w", Format.F32, rows, cols, floats).as(format, arena);
        }
        MemorySegment data = arena.allocate(format.bytes(rows, cols));
        Codec codec = Codec.of(format);
        for (int r = 0; r < rows; r++) codec.encode(gaussian(cols), 0, cols, data, r * format.rowBytes(cols));
        SplittableRandom random = new SplittableRandom(SEED);
        for (int i = 0; format.kind() != Format.Kind.FLOAT && i < rows * cols / format.group(); i++) {
            long block = (long) i * format.bytes();
            // leave the 16-bit scales alone, wherever they are
            long last = format == Format.Q6_K ? format.bytes() - 2 : format.bytes();
            for (long at = block + (format == Format.Q6_K ? 0 : 4); at < block + last; at++) {
                data.set(ValueLayout.JAVA_BYTE, at, (byte) random.nextInt());
            }
        }
        return new Tensor("w", format, rows, cols, data);
    }

    @ParameterizedTest
    @MethodSource("tiersAndFormats")
    void unpackingIsTheCodecs(Kernels kernels, Format format) {
        for (int odd : new int[]{0, 1, 33}) unpackingIsTheCodecs(kernels, format, odd);
    }

    private static void unpackingIsTheCodecs(Kernels kernels, Format format, int odd) {
        int cols = format.kind() == Format.Kind.FLOAT ? 133 : 3 * format.group() - (format.pads() ? odd : 0);
        try (Arena arena = Arena.ofConfined()) {
            Tensor one = packed(format, 1, cols, arena);
            float[] expected = one.row(0);
            float[] actual = new float[Kernels.padded(cols) + 2];
            Arrays.fill(actual, 7);
            kernels.unpack(format, one.data(), one.offset(0), cols, actual, 1);
            for (int i = 0; i < cols; i++) assertEquals(expected[i] + 0f, actual[i + 1] + 0f, "value " + i + ", " + AGAIN);
            for (int i = cols; i < Kernels.padded(cols); i++) assertEquals(0, actual[i + 1]);
            assertEquals(7, actual[0]);
            assertEquals(7, actual[actual.length - 1]);
        }
    }

    @Test
    void halvesOfEveryBitPattern() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment all = arena.allocate(2 << 16);
            for (int i = 0; i < 1 << 16; i++) all.set(ValueLayout.JAVA_SHORT, 2L * i, (short) i);
            float[] actual = new float[1 << 16];
            new VectorKernels().unpack(Format.F16, all, 0, 1 << 16, actual, 0);
            for (int i = 0; i < 1 << 16; i++) {
                float expected = Float.float16ToFloat((short) i);
                if (Float.isNaN(expected)) {
                    assertTrue(Float.isNaN(actual[i]), "half " + i);
                } else {
                    assertEquals(Float.floatToRawIntBits(expected), Float.floatToRawIntBits(actual[i]), "half " + i);
                }
            }
        }
    }

    /** A row alone and among others, unpacked in registers or in memory. */
    @ParameterizedTest
    @MethodSource("tiersAndFormats")
    void aSumHasOneOrder(Kernels kernels, Format format) {
        int cols = format.group() > 32 ? 768 : 608;
        int rows = 9;
        int outs = 8;
        try (Arena arena = Arena.ofConfined()) {
            Tensor all = packed(format, outs, cols, arena);
            float[] w = new float[outs * cols];
            for (int o = 0; o < outs; o++) kernels.unpack(format, all.data(), all.offset(o), cols, w, o * cols);
            float[] x = gaussian(rows * cols);
            float[] lanes = new float[Kernels.LANES];
            float[] many = new float[rows * outs];
            kernels.dots(w, outs, x, 0, rows, cols, many, 0, outs, lanes);
            for (int r = 0; r < rows; r++) {
                float[] expected = Arrays.copyOfRange(many, r * outs, (r + 1) * outs);
                float[] alone = new float[outs];
                kernels.dots(w, outs, x, r * cols, 1, cols, alone, 0, outs, lanes);
                assertArrayEquals(expected, alone, AGAIN);
                if (!kernels.hasDirect(format)) continue;
                kernels.direct(format, all.data(), 0, outs, cols, x, r * cols, alone, 0, lanes);
                assertArrayEquals(expected, alone, AGAIN);
            }
        }
    }

    /** Bytes with a scale a row come in rows of any length and number; the last ends where the memory does. */
    @ParameterizedTest
    @ValueSource(ints = {1, 5, 31, 64, 573})
    void rowsOfBytesHaveAnyLength(int cols) {
        VectorKernels kernels = new VectorKernels();
        int outs = 7;
        int padded = Kernels.padded(cols);
        try (Arena arena = Arena.ofConfined()) {
            Tensor all = packed(Format.I8_ROW, outs, cols, arena);
            float[] w = new float[(outs + 1) * padded];
            for (int o = 0; o < outs; o++) kernels.unpack(Format.I8_ROW, all.data(), all.offset(o), cols, w, o * padded);
            float[] x = Arrays.copyOf(gaussian(cols), padded);
            float[] lanes = new float[Kernels.LANES];
            float[] expected = new float[outs + 1];
            kernels.dots(w, outs, x, 0, 1, padded, expected, 0, outs + 1, lanes);
            for (int from = 0; from < outs; from++) {
                float[] some = new float[outs - from];
                kernels.direct(Format.I8_ROW, all.data(), from, outs, cols, x, 0, some, 0, lanes);
                assertArrayEquals(Arrays.copyOfRange(expected, from, outs), some, "rows from " + from);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("tiers")
    void packingIsTheDefinition(Kernels kernels) {
        float[] x = gaussian(64 * 32);
        for (int b = 0; b < 64; b++) {
            // blocks of every size, ties, zeros, subnormals, and what is not finite
            float scale = (float) Math.pow(10, (b - 40) * 0.9);
            for (int i = 0; i < 32; i++) x[b * 32 + i] *= scale;
        }
        for (int i = 0; i < 32; i++) x[i] = (i - 16) * 0.5f;
        x[0] = 127;
        Arrays.fill(x, 32, 64, -0.0f);
        x[70] = Float.NaN;
        x[100] = Float.NEGATIVE_INFINITY;
        x[130] = Float.MIN_VALUE;
        float[] expected = new float[x.length];
        for (int b = 0; b < x.length; b += 32) {
            float max = 0;
            for (int i = b; i < b + 32; i++) max = Math.max(max, Math.abs(x[i]));
            float scale = max / 127;
            float inverse = scale < Float.MIN_NORMAL ? 0 : 1 / scale;
            for (int i = b; i < b + 32; i++) expected[i] = (int) Math.rint(x[i] * inverse) * scale;
        }
        kernels.quantize(x, 0, x.length, 32);
        for (int i = 0; i < x.length; i++) {
            assertEquals(Float.floatToIntBits(expected[i]), Float.floatToIntBits(x[i]), "value " + i + ", " + AGAIN);
        }
    }

    private static float exp(float x) {
        return VectorMath.exp(FloatVector.broadcast(Lanes.F, x)).lane(0);
    }

    @Test
    void exponentialsAreWithinTheirBound() {
        double worst = 0;
        for (float x = -87.336f; x <= 88.722f; x += 0.00137f) {
            double expected = Math.exp(x);
            worst = Math.max(worst, Math.abs(exp(x) - expected) / expected);
        }
        assertTrue(worst <= 2e-7, "relative error " + worst);
        assertTrue(worst > 1e-9, "measured nothing");
    }

    @Test
    void exponentialsAtTheEnds() {
        assertEquals(1, exp(0));
        assertEquals(0, exp(-88));
        assertEquals(0, exp(Float.NEGATIVE_INFINITY));
        assertEquals(Float.POSITIVE_INFINITY, exp(88.8f));
        assertEquals(Float.POSITIVE_INFINITY, exp(Float.POSITIVE_INFINITY));
        assertTrue(Float.isNaN(exp(Float.NaN)));
    }

    @Test
    void tangentsAreWithinTheirBound() {
        double worst = 0;
        for (float x = -12; x <= 12; x += 0.00137f) {
            double expected = Math.tanh(x);
            worst = Math.max(worst, Math.abs(VectorMath.tanh(FloatVector.broadcast(Lanes.F, x)).lane(0) - expected) / Math.abs(expected));
        }
        assertTrue(worst <= 4e-7, "relative error " + worst);
    }

    @ParameterizedTest
    @MethodSource("tiers")
    void theBestInTheOrderOfFloats(Kernels kernels) {
        float[] v = gaussian(1000);
        for (int i = 0; i < v.length; i++) v[i] = Math.round(v[i] * 20) / 20f;
        v[500] = -0.0f;
        v[501] = 0.0f;
        v[77] = Float.POSITIVE_INFINITY;
        v[78] = Float.NEGATIVE_INFINITY;
        for (boolean nan : new boolean[]{false, true}) {
            if (nan) v[900] = Float.NaN;
            int[] order = IntStream.range(0, v.length).boxed().sorted((a, b) -> {
                int byValue = Float.compare(v[b], v[a]);
                return byValue != 0 ? byValue : Integer.compare(a, b);
            }).mapToInt(Integer::intValue).toArray();
            for (int k : new int[]{1, 2, 40, 499, 500, 999, 1000}) {
                int[] best = new int[k];
                Best.of(kernels, v, v.length, best, 0, k);
                assertArrayEquals(Arrays.copyOf(order, k), best, AGAIN);
            }
        }
    }
}
