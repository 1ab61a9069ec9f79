package dev.lacuna.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What every backend must do: each case is played by the reference and by the kernels under test on the same packed operands, and the results are
 * compared. A backend's test extends this class and opens its kernels. Random data changes from run to run; {@code -Dlacuna.test.seed} repeats one.
 */
public abstract class OpsConformance {
    private static final long SEED = Long.getLong("lacuna.test.seed", System.nanoTime());
    private static final int[] SIZES = {1, 31, 33, 172, 576, 2046};
    private static final int[] BLOCKS = {1, 3, 18, 43};
    /** Outputs and rows of products; those of more multiply-adds than {@link #MOST_WORK} are left out. */
    private static final int[][] PAIRS = {{1, 1}, {31, 33}, {33, 31}, {172, 172}, {576, 1}, {1, 576}, {2046, 1}, {1, 2046}, {33, 8}, {172, 9}, {576, 33},
            {33, 576}, {31, 2046}, {2046, 31}, {576, 576}, {2046, 2046}, {2, 1}, {33, 3}};
    private static final long MOST_WORK = 5_000_000;

    /**
     * Opens the kernels under test, unchecked.
     *
     * @param threads threads of the team; implementations without threads ignore it
     */
    protected abstract Ops open(int threads);

    @BeforeAll
    static void printSeed() {
        System.out.println("conformance: repeat with -Dlacuna.test.seed=" + SEED);
    }

    // ---- how a case is played

    private void conform(String what, Limits limits, Consumer<Stage> play) {
        agree(what, limits, new ReferenceOps(2), open(2), play);
    }

    private static void agree(String what, Limits limits, Ops expected, Ops actual, Consumer<Stage> play) {
        String where = what + " (-Dlacuna.test.seed=" + SEED + ")";
        long seed = SEED + what.hashCode();
        try (Stage reference = new Stage(expected, limits, seed); Stage tested = new Stage(actual, limits, seed)) {
            play.accept(reference);
            play.accept(tested);
            reference.checkRedZones();
            tested.checkRedZones();
            tested.agreesWith(reference, where);
        }
    }

    private static Limits room(int rows) {
        return new Limits(rows + 2, 1, 1, 1);
    }

    private static InputPolicy pinned(Input input) {
        return InputPolicy.pinned(input);
    }

    static Stream<Format> formats() {
        return Format.ALL.stream();
    }

    private static boolean floats(Format format) {
        return format.kind() == Format.Kind.FLOAT;
    }

    /** Each format with each input that it takes. */
    static Stream<Arguments> formatsAndInputs() {
        return formats().flatMap(f -> floats(f) ? Stream.of(Arguments.of(f, Input.F32)) : Stream.of(Input.F32, Input.I8).map(i -> Arguments.of(f, i)));
    }

    static Stream<Arguments> products() {
        return formatsAndInputs().flatMap(a -> {
            Format f = (Format) a.get()[0];
            return (floats(f) ? Arrays.stream(SIZES) : Arrays.stream(BLOCKS).map(b -> b * f.group())).mapToObj(c -> Arguments.of(f, a.get()[1], c));
        });
    }

    // ---- products

    @ParameterizedTest
    @MethodSource("products")
    void linear(Format format, Input input, int cols) {
        for (int[] pair : PAIRS) {
            if ((long) pair[0] * pair[1] * cols <= MOST_WORK) linear(format, input, pair[0], pair[1], cols);
        }
    }

    void linear(Format format, Input input, int outs, int rows, int cols) {
        conform("linear %s x %s, %d x %d, %d rows".formatted(format, input, outs, cols, rows), room(rows), s -> {
            Linear w = s.linear(format, outs, cols, pinned(input), outs % 2 == 1);
            Act x = s.act(cols, pinned(input), s.gaussian(rows * cols));
            Act y = s.act(outs, InputPolicy.F32);
            s.run(s.rows(rows), () -> s.ops.linear(x, w, y));
            s.see("y", y, rows, Agreement.FLOAT);
            s.see("x after", x, rows, Agreement.EXACT);
        });
    }

    @Test
    void everySizeMeetsEverySizeSomewhere() {
        Set<Integer> outs = new LinkedHashSet<>();
        Set<Integer> rows = new LinkedHashSet<>();
        for (int[] pair : PAIRS) {
            if (pair[0] * pair[1] > MOST_WORK) continue;
            outs.add(pair[0]);
            rows.add(pair[1]);
        }
        for (int size : SIZES) assertTrue(outs.contains(size) && rows.contains(size), "size " + size);
    }

    /** Scales of one and whole numbers: the sum is a whole number below 2^24, which every order of summation must reach exactly. */
    @ParameterizedTest
    @MethodSource("formatsAndInputs")
    void wholeNumbersAreExact(Format format, Input input) {
        int[] widths = floats(format) ? new int[]{1, 33, 172, 576} : new int[]{format.group(), 3 * format.group(), 18 * format.group()};
        for (int cols : widths) {
            for (int[] pair : new int[][]{{1, 1}, {33, 1}, {31, 8}, {33, 9}, {5, 33}, {172, 3}}) {
                String what = "whole %s x %s, %d x %d, %d rows".formatted(format, input, pair[0], cols, pair[1]);
                conform(what, room(pair[1]), s -> {
                    Weight w = s.place(s.wholeTensor(format, pair[0], cols), pinned(input));
                    Act x = s.act(cols, pinned(input), s.whole(pair[1], cols));
                    Act y = s.act(pair[0], InputPolicy.F32);
                    s.run(s.rows(pair[1]), () -> s.ops.linear(x, new Linear(w, null), y));
                    for (float v : s.see("y", y, pair[1], Agreement.EXACT)) {
                        assertTrue(Math.abs(v) < 1 << 24 && v == Math.rint(v), () -> what + ": the case is not whole: " + v);
                    }
                });
            }
        }
    }

    @ParameterizedTest
    @MethodSource("formats")
    void illegalColumnsAreRefused(Format format) {
        for (int cols : floats(format) ? new int[]{0, -1} : new int[]{0, -format.group(), 1, format.group() - 1, format.group() + 1}) {
            try (Stage s = new Stage(open(1), room(1), SEED)) {
                IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> s.tensor(format, 3, cols));
                assertTrue(e.getMessage().contains(format.name()) && e.getMessage().contains(String.valueOf(cols)), e.getMessage());
            }
        }
    }

    @Test
    void floatFormatsRefuseEightBitInputs() {
        for (Format format : List.of(Format.F32, Format.F16, Format.BF16)) {
            try (Stage s = new Stage(open(1), room(1), SEED)) {
                Tensor t = s.tensor(format, 3, 32);
                assertThrows(UnsupportedKernelException.class, () -> s.place(t, InputPolicy.I8));
            }
        }
    }

    /** Files mix formats among the weights that share an input. */
    @ParameterizedTest
    @MethodSource("inputs")
    void weightsPlacedTogether(Input input) {
        conform("placed together " + input, room(3), s -> {
            List<Tensor> tensors = List.of(s.tensor(Format.Q4_K, 33, 512), s.tensor(Format.Q6_K, 7, 512), s.tensor(Format.Q4_0, 64, 512));
            List<Weight> weights = s.ops.place(tensors, pinned(input), EnumSet.of(Use.PRODUCT));
            Act x = s.act(512, pinned(input), s.gaussian(3 * 512));
            List<Act> out = weights.stream().map(w -> s.act(w.rows(), InputPolicy.F32)).toList();
            s.run(s.rows(3), () -> IntStream.range(0, 3).forEach(i -> s.ops.linear(x, new Linear(weights.get(i), null), out.get(i))));
            for (int i = 0; i < 3; i++) {
                assertEquals(tensors.get(i).format(), weights.get(i).format());
                assertEquals(pinned(input), weights.get(i).policy());
                s.see("y" + i, out.get(i), 3, Agreement.FLOAT);
            }
        });
    }

    static Stream<Input> inputs() {
        return Stream.of(Input.F32, Input.I8);
    }

    /** Few rows in one packing, many in another. */
    @ParameterizedTest
    @ValueSource(ints = {1, 8, 9, 33})
    void inputFollowsTheRowClass(int rows) {
        for (InputPolicy policy : List.of(new InputPolicy(Input.I8, Input.F32), new InputPolicy(Input.F32, Input.I8))) {
            conform("rows as " + policy + ", " + rows, new Limits(rows, 1, 1, 1), s -> {
                Linear w = s.linear(Format.Q4_1, 40, 96, policy, false);
                Act residual = s.act(96, InputPolicy.F32, s.gaussian(rows * 96));
                Act x = s.act(96, policy);
                Act written = s.act(96, policy, s.gaussian(rows * 96));
                Act y = s.act(40, InputPolicy.F32);
                Act z = s.act(40, InputPolicy.F32);
                Norm norm = Norm.rms(s.gains(96), 1e-5f);
                s.run(s.rows(rows), () -> {
                    s.ops.addNorm(residual, null, null, norm, false, x);
                    s.ops.linear(x, w, y);
                    s.ops.linear(written, w, z);
                });
                s.seePacked("x", x, rows);
                s.see("y", y, rows, policy.of(rows).equals(Input.F32) ? Agreement.FLOAT : Agreement.REPACKED);
                s.see("z", z, rows, Agreement.FLOAT);
            });
        }
    }

    /** One row reads the same alone or among others. */
    @ParameterizedTest
    @MethodSource("formatsAndInputs")
    void aRowAloneIsTheRowAmongOthers(Format format, Input input) {
        int cols = floats(format) ? 172 : 2 * format.group();
        for (int rows : new int[]{8, 33}) {
            float[] together = product(format, input, rows, 0, cols);
            for (int r : new int[]{0, 5, rows - 1}) {
                float[] alone = product(format, input, rows, r + 1, cols);
                Agreement.FLOAT.check(format + " x " + input + ": row " + r + " of " + rows, Arrays.copyOfRange(together, r * 65, (r + 1) * 65), alone);
            }
        }
    }

    /** All rows, or the one before {@code only}. */
    private float[] product(Format format, Input input, int rows, int only, int cols) {
        try (Stage s = new Stage(open(2), room(rows), SEED)) {
            Linear w = s.linear(format, 65, cols, pinned(input), true);
            float[] v = s.gaussian(rows * cols);
            int n = only == 0 ? rows : 1;
            Act x = s.act(cols, pinned(input), only == 0 ? v : Arrays.copyOfRange(v, (only - 1) * cols, only * cols));
            Act y = s.act(65, InputPolicy.F32);
            s.run(s.rows(n), () -> s.ops.linear(x, w, y));
            return s.ops.read(y, n);
        }
    }

    @ParameterizedTest
    @MethodSource("formatsAndInputs")
    void threadsDoNotChangeProducts(Format format, Input input) {
        int cols = floats(format) ? 172 : 2 * format.group();
        for (int rows : new int[]{1, 9, 33}) {
            agree("threads, linear %s x %s, %d rows".formatted(format, input, rows), room(rows), open(1), open(3), s -> {
                Linear w = s.linear(format, 301, cols, pinned(input), false);
                Act x = s.act(cols, pinned(input), s.gaussian(rows * cols));
                Act y = s.act(301, InputPolicy.F32);
                s.run(s.rows(rows), () -> s.ops.linear(x, w, y));
                s.see("y", y, rows, Agreement.EXACT);
            });
        }
    }

    // ---- packing

    @ParameterizedTest
    @MethodSource("inputs")
    void writeThenRead(Input input) {
        for (int cols : new int[]{32, 96, 576}) {
            for (int rows : new int[]{1, 3, 9}) {
                conform("write and read %s, %d x %d".formatted(input, rows, cols), room(rows), s -> {
                    float[] v = s.gaussian(rows * cols);
                    Arrays.fill(v, 0, 32, 0);
                    if (cols > 32) {
                        // halves between codes, the smallest scales, the largest values
                        for (int i = 0; i < 32; i++) v[32 + i] = i == 0 ? -127 : i - 15.5f;
                        for (int i = 0; i < 32; i++) v[64 + i] = v[64 + i] * 1e-38f;
                    }
                    if (cols > 96) {
                        for (int i = 0; i < 32; i++) v[96 + i] = v[96 + i] * 1e37f;
                        Arrays.fill(v, 128, 160, Float.MIN_VALUE);
                        for (int i = 0; i < 32; i++) v[160 + i] = i == 31 ? 1 : i * 1e-3f;
                    }
                    Act x = s.act(cols, pinned(input), v);
                    s.see("x", x, rows, Agreement.EXACT);
                });
            }
        }
    }

    // ---- point-wise operations

    @ParameterizedTest
    @MethodSource("formats")
    void embed(Format format) {
        int group = floats(format) ? 43 : format.group();
        for (int rows : new int[]{1, 3, 33}) {
            for (boolean packed : floats(format) ? new boolean[]{false} : new boolean[]{false, true}) {
                conform("embed %s, %d rows, %s".formatted(format, rows, packed), new Limits(rows + 2, 1, 1, 2), s -> {
                    InputPolicy policy = packed ? InputPolicy.I8 : InputPolicy.F32;
                    // tied: looked up and multiplied
                    Weight table = s.table(s.tensor(format, 37, 3 * group), policy);
                    Act x = s.act(3 * group, InputPolicy.F32);
                    Act direct = s.act(3 * group, policy);
                    Act y = s.act(37, InputPolicy.F32);
                    Batch b = s.batch(2);
                    b.addSequence(new int[]{1, 2}, 2);
                    for (int r = 0; r < rows - 1; r++) b.addRow(r == 0 ? 36 : s.random.nextInt(37), r, false);
                    b.addPadding();
                    s.run(b, () -> {
                        s.ops.embed(table, 1.5f, x);
                        s.ops.embed(table, 1, direct);
                        s.ops.linear(direct, new Linear(table, null), y);
                    });
                    s.see("x", x, rows, Agreement.FLOAT);
                    s.seePacked("direct", direct, rows);
                    s.see("y", y, rows, packed ? Agreement.REPACKED : Agreement.FLOAT);
                });
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"false, false, RMS, false", "true, false, RMS, false", "true, true, RMS, false", "true, false, RMS, true", "true, true, LAYER, true",
            "true, false, LAYER, true", "true, false, LAYER, false", "false, false, LAYER, false", "false, false, LAYER, true", "true, false, , false",
            "true, true, , false"})
    void addNorm(boolean delta, boolean post, Norm.Kind kind, boolean keepNormed) {
        for (int dim : new int[]{1, 31, 96, 576, 2046}) {
            for (int rows : new int[]{1, 8, 9, 33}) {
                for (InputPolicy policy : dim % 32 == 0 && kind != null ? List.of(InputPolicy.F32, InputPolicy.I8) : List.of(InputPolicy.F32)) {
                    String what = "addNorm delta %s, post %s, norm %s, keep %s, %d x %d, %s".formatted(delta, post, kind, keepNormed, rows, dim, policy);
                    conform(what, room(rows), s -> {
                        Act residual = s.act(dim, InputPolicy.F32, s.gaussian(rows * dim));
                        Act add = delta ? s.act(dim, InputPolicy.F32, s.gaussian(rows * dim)) : null;
                        Norm after = post ? Norm.rms(s.gains(dim), 1e-6f) : null;
                        Norm norm = kind == null ? null
                                : new Norm(kind, s.gains(dim), kind == Norm.Kind.LAYER ? s.values(s.gaussian(dim)) : null, 1e-5f);
                        Act out = norm == null ? null : s.act(dim, policy);
                        s.run(s.rows(rows), () -> s.ops.addNorm(residual, add, after, norm, keepNormed, out));
                        s.see("residual", residual, rows, Agreement.FLOAT);
                        if (out != null) s.seePacked("out", out, rows);
                        if (add != null) s.see("delta after", add, rows, Agreement.EXACT);
                    });
                }
            }
        }
    }

    /** The mean of a layer norm may be far larger than its deviation, and the epsilon far larger than the values. */
    @Test
    void normsOfExtremeRows() {
        conform("extreme norms", room(3), s -> {
            int dim = 64;
            float[] v = s.gaussian(3 * dim);
            for (int c = 0; c < dim; c++) {
                v[c] *= 1e-6f;
                v[dim + c] = Math.round(v[dim + c] * 8) + 64;
                v[2 * dim + c] = 0;
            }
            for (Norm.Kind kind : Norm.Kind.values()) {
                Act residual = s.act(dim, InputPolicy.F32, v);
                Act out = s.act(dim, InputPolicy.F32);
                Norm norm = new Norm(kind, s.gains(dim), null, 1e-5f);
                // each kind is a body of its own, so it needs a step of its own
                Batch b = s.rows(kind == Norm.Kind.RMS ? 3 : 2);
                int rows = b.rows();
                s.run(b, () -> s.ops.addNorm(residual, null, null, norm, false, out));
                s.see(kind + " out", Arrays.copyOf(s.ops.read(out, rows), dim), Agreement.FLOAT);
                s.see(kind + " out, offset", Arrays.copyOfRange(s.ops.read(out, rows), dim, 2 * dim), Agreement.FLOAT);
            }
        });
    }

    @ParameterizedTest
    @EnumSource(Activation.class)
    void activate(Activation f) {
        for (int cols : new int[]{1, 31, 64, 576, 2046}) {
            for (int rows : new int[]{1, 8, 9, 33}) {
                for (boolean gated : new boolean[]{false, true}) {
                    for (InputPolicy policy : cols % 32 == 0 ? List.of(InputPolicy.F32, InputPolicy.I8) : List.of(InputPolicy.F32)) {
                        conform("%s of %d x %d, gated %s, %s".formatted(f, rows, cols, gated, policy), room(rows), s -> {
                            Act gate = s.act(cols, InputPolicy.F32, s.gaussian(rows * cols));
                            Act up = gated ? s.act(cols, InputPolicy.F32, s.gaussian(rows * cols)) : null;
                            Act out = s.act(cols, policy);
                            s.run(s.rows(rows), () -> s.ops.activate(f, gate, up, out));
                            s.seePacked("out", out, rows);
                        });
                    }
                }
            }
        }
    }

    /** Each value in a row of its own, so that no large one hides it. */
    @ParameterizedTest
    @EnumSource(Activation.class)
    void activateFarFromZero(Activation f) {
        float[] x = {-1e30f, -200, -100, -89, -30, -10, -5, -1, -1e-3f, -1e-20f, 0, 1e-20f, 1e-3f, 1, 5, 10, 30, 89, 100, 200, 1e30f};
        conform(f + " far from zero", room(x.length), s -> {
            Act gate = s.act(1, InputPolicy.F32, x);
            Act out = s.act(1, InputPolicy.F32);
            s.run(s.rows(x.length), () -> s.ops.activate(f, gate, null, out));
            float[] y = s.ops.read(out, x.length);
            for (int i = 0; i < x.length; i++) {
                // what is far below the inputs' own size need not be relatively exact
                float visible = Math.abs(y[i]) < 1e-5f * Math.min(1, Math.abs(x[i])) ? 0 : y[i];
                s.see(f + "(" + x[i] + ")", new float[]{visible}, new Agreement.Nmse(1e-9));
            }
        });
    }

    // ---- logits

    @ParameterizedTest
    @MethodSource("formatsAndInputs")
    void logits(Format format, Input input) {
        int cols = floats(format) ? 96 : 2 * format.group();
        for (float cap : new float[]{0, 3}) {
            for (int vocabulary : new int[]{1, 31, 172}) {
                conform("logits %s x %s, %d, cap %s".formatted(format, input, vocabulary, cap), new Limits(7, 2, 5, 1), s -> {
                    Linear w = s.linear(format, vocabulary, cols, pinned(input), false);
                    Act x = s.act(cols, pinned(input), s.gaussian(6 * cols));
                    Logits l = s.logits(vocabulary);
                    Runnable body = () -> s.ops.logits(x, w, cap, l);
                    // first other rows, more of them: nothing of theirs may stay
                    for (boolean[] asked : new boolean[][]{{true, true, true, true, true, false}, {false, true, false, false, true, true}}) {
                        Batch b = s.batch(1);
                        b.addSequence(new int[]{1}, 1);
                        for (int r = 0; r < 6; r++) b.addRow(0, r, asked[r]);
                        int rows = b.logitRows();
                        s.run(b, body);
                        float[] v = s.ops.read(l);
                        assertEquals(rows * vocabulary, v.length, "logits of the rows that asked");
                        s.see("logits of " + rows, v, Agreement.FLOAT);
                    }
                });
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 5, 40, 172})
    void topK(int k) {
        for (boolean ties : new boolean[]{false, true}) {
            conform("top " + k + ", ties " + ties, new Limits(5, 1, 5, 1), s -> {
                Weight w = s.place(ties ? s.wholeTensor(Format.F32, 172, 2) : s.tensor(Format.F32, 172, 2), InputPolicy.F32);
                Act x = s.act(2, InputPolicy.F32, ties ? new float[]{1, 0, 0, 1, 0, 0, 1, -1, -3, 2} : s.gaussian(10));
                Logits l = s.logits(172);
                TopK best = s.topK(k);
                Batch b = s.batch(1);
                b.addSequence(new int[]{1}, 1);
                for (int r = 0; r < 5; r++) b.addRow(0, r, r != 1);
                s.run(b, () -> {
                    s.ops.logits(x, new Linear(w, null), 0, l);
                    s.ops.topK(l, k, best);
                });
                float[] scores = s.ops.read(l);
                int[] ids = s.ops.read(best);
                assertEquals(4 * k, ids.length, "ids of the rows that asked");
                for (int r = 0; r < 4; r++) {
                    int at = r * 172;
                    int[] expected = IntStream.range(0, 172).boxed().sorted((p, q) -> scores[at + p] == scores[at + q] ? p - q
                            : Float.compare(scores[at + q], scores[at + p])).limit(k).mapToInt(Integer::intValue).toArray();
                    assertArrayEquals(expected, Arrays.copyOfRange(ids, r * k, (r + 1) * k), "row " + r);
                }
            });
        }
    }

    @Test
    void topKOfInfinities() {
        conform("top of infinities", new Limits(1, 1, 1, 1), s -> {
            float inf = Float.POSITIVE_INFINITY;
            Weight w = s.place(s.wholeTensor(Format.F32, 6, 1), InputPolicy.F32);
            Act x = s.act(1, InputPolicy.F32, new float[]{0});
            Logits l = s.logits(6);
            TopK best = s.topK(4);
            Linear biased = new Linear(w, s.values(new float[]{1, -inf, inf, 2, inf, -inf}));
            Batch b = s.batch(1);
            b.addSequence(new int[]{1}, 1);
            b.addRow(0, 0, true);
            s.run(b, () -> {
                s.ops.logits(x, biased, 0, l);
                s.ops.topK(l, 4, best);
            });
            assertArrayEquals(new int[]{2, 4, 3, 0}, s.ops.read(best));
        });
    }
}
