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
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
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
@TestInstance(TestInstance.Lifecycle.PER_CLASS) // so that a backend may say which formats it takes
public abstract class OpsConformance extends RowSetConformance {
    private static final long SEED = Long.getLong("lacuna.test.seed", System.nanoTime());
    /**
     * What the reference gave, by case: the backends of a module play the same cases, the C kernels in four tiers, and the name of a case says all that
     * its operands depend on. Few cases have large results; those are computed again.
     */
    private static final Map<String, Map<String, Stage.Seen>> KEPT = new ConcurrentHashMap<>();
    private static final AtomicLong kept = new AtomicLong();
    private static final long MOST_KEPT = 64L << 20, MOST_OF_A_CASE = 1 << 16;
    private static final int[] SIZES = {1, 31, 33, 172, 576, 2046};
    private static final int[] BLOCKS = {1, 3, 18, 43};
    /** Outputs and rows of products; those of more multiply-adds than {@link #MOST_WORK} are left out. */
    private static final int[][] PAIRS = {{1, 1}, {31, 33}, {33, 31}, {172, 172}, {576, 1}, {1, 576}, {2046, 1}, {1, 2046}, {33, 8},
            {172, 9}, {576, 33},
            {33, 576}, {31, 2046}, {2046, 31}, {576, 576}, {2046, 2046}, {2, 1}, {33, 3}};
    private static final long MOST_WORK = 2_000_000;
    /** The same for inputs that share most of their code with others. */
    private static final long LESS_WORK = 1_000_000;
    /** Formats that meet 8-bit inputs with wider scales: a scale for a row, for a group, for 32, with a minimum, for 16; the same, sparse. */
    private static final Set<Format> WIDE = Set.of(Format.I8_ROW, Format.i4Group(128), Format.i8Group(64), Format.Q8_0, Format.Q4_1,
            Format.Q4_K, Format.Q6_K, Format.I8_24, Format.I8_BITMASK, Format.i4TwoOfFour(128), Format.i4Bitmask(64));

    /**
     * Opens the kernels under test, unchecked.
     *
     * @param threads threads of the team; implementations without threads ignore it
     */
    @Override
    protected abstract Ops open(int threads);

    /**
     * Whether a case is played. Kernels that are emulated leave some out, by a rule that leaves none of any operation, format and input out altogether.
     *
     * @param what the operation, its format and its input up to the first comma, then sizes
     */
    protected boolean plays(String what) {
        return true;
    }

    /** Whether attention rounds to bfloat16 what it reads of such a cache when its consumer takes packed inputs: its results are only as near then. */
    protected boolean attendsInBfloat16(KvType type) {
        return false;
    }

    @BeforeAll
    static void printSeed() {
        System.out.println("conformance: repeat with -Dlacuna.test.seed=" + SEED);
    }

    // ---- how a case is played

    @Override
    void conform(String what, Limits limits, Consumer<Stage> play) {
        if (!plays(what)) return;
        Map<String, Stage.Seen> expected = KEPT.get(what);
        if (expected == null) {
            expected = played(what, limits, new ReferenceOps(2), play);
            keep(what, expected);
        }
        played(what, limits, open(2), play, expected);
    }

    private static void keep(String what, Map<String, Stage.Seen> expected) {
        long floats = expected.values().stream().mapToLong(s -> s.values().length).sum();
        if (floats <= MOST_OF_A_CASE && kept.addAndGet(floats) <= MOST_KEPT) KEPT.put(what, expected);
    }

    @Override
    void conform(String what, Limits limits, Ops expected, Consumer<Stage> play) {
        if (!plays(what)) {
            expected.close();
            return;
        }
        play(what, limits, expected, () -> open(3), play);
    }

    private void agree(String what, Limits limits, Ops expected, Supplier<Ops> actual, Consumer<Stage> play) {
        if (!plays(what)) {
            expected.close();
            return;
        }
        play(what, limits, expected, actual, play);
    }

    private static void play(String what, Limits limits, Ops expected, Supplier<Ops> actual, Consumer<Stage> play) {
        Map<String, Stage.Seen> seen = played(what, limits, expected, play);
        played(what, limits, actual.get(), play, seen);
    }

    private static Map<String, Stage.Seen> played(String what, Limits limits, Ops ops, Consumer<Stage> play) {
        try (Stage stage = new Stage(ops, limits, SEED + what.hashCode())) {
            play.accept(stage);
            stage.checkRedZones();
            return stage.seen();
        }
    }

    private static void played(String what, Limits limits, Ops ops, Consumer<Stage> play, Map<String, Stage.Seen> expected) {
        try (Stage tested = new Stage(ops, limits, SEED + what.hashCode())) {
            play.accept(tested);
            tested.checkRedZones();
            tested.agreesWith(expected, what + " (-Dlacuna.test.seed=" + SEED + ")");
        }
    }

    private static Limits room(int rows) {
        return new Limits(rows + 2, 1, 1, 1);
    }

    private static InputPolicy pinned(Input input) {
        return InputPolicy.pinned(input);
    }

    /** The formats that the backend has kernels for. */
    protected Stream<Format> formats() {
        return Format.ALL.stream();
    }

    private static boolean floats(Format format) {
        return format.kind() == Format.Kind.FLOAT;
    }

    /** Each format with each input that it takes. */
    Stream<Arguments> formatsAndInputs() {
        return formats().flatMap(f -> inputs().filter(i -> takes(f, i)).map(i -> Arguments.of(f, i)));
    }

    Stream<Arguments> formatsAndInputsOfChosenRows() {
        return formatsAndInputs().filter(a -> a.get()[1].equals(Input.F32) || a.get()[1].equals(Input.I8));
    }

    private static boolean takes(Format format, Input input) {
        if (!(input instanceof Input.I8 i8)) return true;
        return !floats(format) && (i8.block() == 32 || WIDE.contains(format));
    }

    Stream<Arguments> products() {
        return formatsAndInputs().flatMap(a -> {
            Format f = (Format) a.get()[0];
            return (f.group() == 1 || f.pads() ? Arrays.stream(SIZES) : Arrays.stream(BLOCKS).map(b -> b * f.group()))
                    .mapToObj(c -> Arguments.of(f, a.get()[1], c));
        });
    }

    // ---- products

    @ParameterizedTest
    @MethodSource("products")
    void linear(Format format, Input input, int cols) {
        for (int[] pair : PAIRS) {
            long most = input.equals(Input.F32) || input.equals(Input.I8) ? MOST_WORK : LESS_WORK;
            if ((long) pair[0] * pair[1] * cols <= most) linear(format, input, pair[0], pair[1], cols);
        }
    }

    void linear(Format format, Input input, int outs, int rows, int cols) {
        conform("linear %s x %s, %d x %d, %d rows".formatted(format, input, outs, cols, rows), room(rows), s -> {
            Tensor t = s.tensor(format, outs, cols);
            Linear w = new Linear(s.place(t, pinned(input)), outs % 2 == 1 ? s.values(s.gaussian(outs)) : null);
            float[] v = s.gaussian(rows * cols);
            Act x = s.act(cols, pinned(input), v);
            Act y = s.act(outs, InputPolicy.F32);
            s.run(s.rows(rows), () -> s.ops.linear(x, w, y));
            s.see("y", y, rows, new Agreement.Nmse(1e-11, typical(t, v)));
            s.see("x after", x, rows, Agreement.EXACT);
        });
    }

    /** The sum of squares of all products' terms, which is that of the products on average; 0 where they are many and no average is needed. */
    private static double typical(Tensor t, float[] x) {
        int rows = x.length / t.cols();
        if ((long) rows * t.rows() > 200) return 0;
        float[] w = t.toFloats();
        double sum = 0;
        for (int r = 0; r < rows; r++) {
            for (int o = 0; o < t.rows(); o++) {
                for (int c = 0; c < t.cols(); c++) {
                    double term = (double) w[o * t.cols() + c] * x[r * t.cols() + c];
                    sum += term * term;
                }
            }
        }
        return sum;
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
        int[] widths = format.group() == 1 || format.pads()
                ? new int[]{1, 33, 172, 576}
                : new int[]{format.group(), 3 * format.group(), 18 * format.group()};
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
        for (int cols : format.group() == 1 || format.pads()
                ? new int[]{0, -1}
                : new int[]{0, -format.group(), 1, format.group() - 1, format.group() + 1}) {
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
                assertThrows(UnsupportedKernelException.class, () -> s.place(t, new InputPolicy(Input.F32, new Input.I8(0))));
            }
        }
    }

    /** Files mix formats among the weights that share an input. */
    @ParameterizedTest
    @MethodSource("inputs")
    void weightsPlacedTogether(Input input) {
        List<Format> mixed = Stream.of(Format.Q4_K, Format.Q6_K, Format.Q4_0, Format.Q8_0, Format.Q4_1)
                .filter(formats().toList()::contains)
                .limit(3).toList();
        conform("placed together %s, %s".formatted(input, mixed), room(3), s -> {
            List<Tensor> tensors = List.of(s.tensor(mixed.get(0), 33, 512), s.tensor(mixed.get(1), 7, 512),
                    s.tensor(mixed.get(2), 64, 512));
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

    /** The inputs that the backend has kernels for. */
    protected Stream<Input> inputs() {
        return Stream.of(Input.F32, Input.BF16, Input.I8, new Input.I8(64), new Input.I8(128), new Input.I8(0));
    }

    /** Few rows in one packing, many in another. */
    @ParameterizedTest
    @ValueSource(ints = {1, 8, 9, 33})
    void inputFollowsTheRowClass(int rows) {
        for (InputPolicy policy : List.of(new InputPolicy(Input.I8, Input.F32), new InputPolicy(Input.F32, Input.I8),
                new InputPolicy(Input.I8, Input.BF16), new InputPolicy(Input.BF16, new Input.I8(0)))) {
            List<Input> known = inputs().toList();
            if (!known.contains(policy.fewRows()) || !known.contains(policy.manyRows())) continue;
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
        int cols = floats(format) ? 172 : cols(format, 2);
        for (int rows : new int[]{8, 33}) {
            float[] together = product(format, input, rows, 0, cols);
            for (int r : new int[]{0, 5, rows - 1}) {
                float[] alone = product(format, input, rows, r + 1, cols);
                Agreement.FLOAT.check(format + " x " + input + ": row " + r + " of " + rows,
                        Arrays.copyOfRange(together, r * 65, (r + 1) * 65), alone);
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
        int cols = floats(format) ? 172 : cols(format, 2);
        for (int rows : new int[]{1, 9, 33}) {
            agree("threads, linear %s x %s, %d rows".formatted(format, input, rows), room(rows), open(1), () -> open(3), s -> {
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
    @MethodSource("formatsAndInputs")
    void embed(Format format, Input input) {
        int cols = floats(format) ? 129 : cols(format, 3);
        InputPolicy policy = pinned(input);
        for (int rows : new int[]{1, 3, 33}) {
            boolean learned = rows > 1;
            conform("embed %s, %d rows, %s".formatted(format, rows, input), new Limits(rows + 2, 1, 1, 2), s -> {
                // tied: looked up and multiplied
                Weight table = s.table(s.tensor(format, 37, cols), policy);
                Weight positions = learned ? s.table(s.tensor(Format.F16, 2 + rows, cols), InputPolicy.F32) : null;
                Act x = s.act(cols, InputPolicy.F32);
                Act direct = s.act(cols, policy);
                Act y = s.act(37, InputPolicy.F32);
                Batch b = s.batch(2);
                b.addSequence(new int[]{1, 2}, 2);
                for (int r = 0; r < rows - 1; r++) b.addRow(r == 0 ? 36 : s.random.nextInt(37), r, false);
                b.addPadding();
                s.run(b, () -> {
                    s.ops.embed(new Embedding(table, 1.5f, positions, 2), x);
                    s.ops.embed(Embedding.of(table), direct);
                    s.ops.linear(direct, new Linear(table, null), y);
                });
                s.see("x", x, rows, Agreement.FLOAT);
                s.seePacked("direct", direct, rows);
                s.see("y", y, rows, near(input));
            });
        }
    }

    /** Of a product whose input the kernels packed. */
    private static Agreement near(Input input) {
        return input.equals(Input.F32) ? Agreement.FLOAT : Agreement.REPACKED;
    }

    @ParameterizedTest
    @CsvSource({"false, false, RMS, false", "true, false, RMS, false", "true, true, RMS, false", "true, false, RMS, true",
            "true, true, LAYER, true",
            "true, false, LAYER, true", "true, false, LAYER, false", "false, false, LAYER, false", "false, false, LAYER, true",
            "true, false, , false",
            "true, true, , false"})
    void addNorm(boolean delta, boolean post, Norm.Kind kind, boolean keepNormed) {
        for (int dim : new int[]{1, 31, 96, 576, 2046}) {
            for (int rows : new int[]{1, 8, 9, 33}) {
                for (InputPolicy policy : kind == null ? List.of(InputPolicy.F32) : inputs().map(InputPolicy::pinned).toList()) {
                    String what = "addNorm delta %s, post %s, norm %s, keep %s, %d x %d, %s".formatted(delta, post, kind, keepNormed, rows,
                            dim, policy);
                    conform(what, room(rows), s -> {
                        float[] sum = s.gaussian(rows * dim);
                        // a row of one value is normed to about one: what all but cancels it would be one rounding, and the norm magnifies that
                        if (post && dim == 1) for (int r = 0; r < rows; r++) sum[r] += Math.copySign(4, sum[r]);
                        Act residual = s.act(dim, InputPolicy.F32, sum);
                        Act add = delta ? s.act(dim, InputPolicy.F32, s.gaussian(rows * dim)) : null;
                        Norm after = post ? Norm.rms(s.gains(dim), 1e-6f) : null;
                        Norm norm = kind == null
                                ? null
                                : new Norm(kind, s.gains(dim), kind == Norm.Kind.LAYER ? s.values(s.gaussian(dim)) : null, 1e-5f);
                        Act out = norm == null ? null : s.act(dim, policy);
                        s.run(s.rows(rows), () -> s.ops.addNorm(residual, add, after, norm, keepNormed, out));
                        // a sum of two floats has one rounding; what was normed is of about one and may all but cancel what is added to it
                        double normed = rows * (double) dim;
                        s.see("residual", residual, rows, post || keepNormed ? new Agreement.Nmse(1e-11, normed) : Agreement.EXACT);
                        if (out != null) s.seePacked("out", out, rows, normed);
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
                    for (InputPolicy policy : inputs().map(InputPolicy::pinned).toList()) {
                        conform("%s of %d x %d, gated %s, %s".formatted(f, rows, cols, gated, policy), room(rows), s -> {
                            float[] x = s.gaussian(rows * cols);
                            float[] factor = gated ? s.gaussian(rows * cols) : null;
                            Act gate = s.act(cols, InputPolicy.F32, x);
                            Act up = gated ? s.act(cols, InputPolicy.F32, factor) : null;
                            Act out = s.act(cols, policy);
                            s.run(s.rows(rows), () -> s.ops.activate(f, gate, up, out));
                            // GELU is a sum of x/2 and of what all but cancels it far below zero
                            boolean cancels = f == Activation.GELU_TANH || f == Activation.GELU_ERF;
                            s.seePacked("out", out, rows, cancels ? halves(x, factor) : 0);
                        });
                    }
                }
            }
        }
    }

    /** The sum of squares of {@code x * factor / 2}. */
    private static double halves(float[] x, float @Nullable [] factor) {
        return IntStream.range(0, x.length).mapToDouble(i -> Math.pow(x[i] * (factor == null ? 1.0 : factor[i]) / 2, 2)).sum();
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
        int cols = floats(format) ? 96 : cols(format, 2);
        for (float cap : new float[]{0, 3}) {
            for (int vocabulary : new int[]{1, 31, 172}) {
                conform("logits %s x %s, %d, cap %s".formatted(format, input, vocabulary, cap), new Limits(7, 2, 5, 1), s -> {
                    Tensor t = s.tensor(format, vocabulary, cols);
                    Linear w = new Linear(s.place(t, pinned(input)), null);
                    float[] xs = s.gaussian(6 * cols);
                    // scores about as large as their cap, where it bends them
                    for (int i = 0; cap != 0 && i < xs.length; i++) xs[i] *= cap / (float) Math.sqrt(cols);
                    Agreement near = new Agreement.Nmse(1e-11, typical(t, xs) / 2);
                    Act x = s.act(cols, pinned(input), xs);
                    Logits l = s.logits(vocabulary);
                    Runnable body = () -> s.ops.logits(x, w, cap, l);
                    // first other rows, more of them: nothing of theirs may stay
                    for (boolean[] asked : new boolean[][]{{true, true, true, true, true, false},
                            {false, true, false, false, true, true}}) {
                        Batch b = s.batch(1);
                        b.addSequence(new int[]{1}, 1);
                        for (int r = 0; r < 6; r++) b.addRow(0, r, asked[r]);
                        int rows = b.logitRows();
                        s.run(b, body);
                        float[] v = s.ops.read(l);
                        assertEquals(rows * vocabulary, v.length, "logits of the rows that asked");
                        s.see("logits of " + rows, v, near);
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
                    int[] expected = IntStream.range(0, 172).boxed().sorted((p, q) -> scores[at + p] == scores[at + q]
                            ? p - q
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

    // ---- attention and its cache

    /** Which cache, which heads, which options. */
    record Attends(KvType type, int[] kvOf, int kvHeads, int headSize, int window, float softCap, float scale) {
        @Override
        public String toString() {
            return "%s, heads of %d reading %s, window %d, cap %s, scale %s".formatted(type, headSize, Arrays.toString(kvOf), window,
                    softCap,
                    scale);
        }

        Attention attention() {
            return new Attention(kvOf.clone(), headSize, scale, window, softCap);
        }
    }

    private static Attends attends(KvType type, int heads, int kvHeads, int headSize, int window, float softCap) {
        int[] kvOf = IntStream.range(0, heads).map(h -> h * kvHeads / heads).toArray();
        return new Attends(type, kvOf, kvHeads, headSize, window, softCap, (float) (1 / Math.sqrt(headSize)));
    }

    static Stream<Attends> attentions() {
        List<Attends> all = new ArrayList<>();
        for (KvType type : KvType.values()) {
            all.add(attends(type, 9, 3, 64, 0, 0));
            all.add(attends(type, 4, 1, 26, 0, 0));
            all.add(attends(type, 2, 2, 128, 0, 0));
            all.add(attends(type, 3, 3, 1, 0, 0));
            all.add(attends(type, 3, 1, 64, 40, 0));
            all.add(attends(type, 2, 1, 26, 1, 0));
            all.add(attends(type, 3, 3, 64, 0, 2));
            all.add(attends(type, 2, 1, 128, 33, 1.5f));
            all.add(new Attends(type, new int[]{2, 0, 0, 1, 2}, 3, 32, 0, 0, 0.3f));
        }
        return all.stream();
    }

    /** A cache of two layers whose blocks are full of NaN, so that a read of what was never appended shows. */
    private static KvPool poisoned(Stage s, KvType type, int kvHeads, int headSize, int blocks) {
        KvPool pool = s.kv(new KvSpec(new int[]{2, kvHeads}, headSize, type), blocks);
        int rows = KvSpec.BLOCK * (blocks - 1);
        Rope still = s.rope(0, headSize, 1, false);
        float[] nan = new float[rows * Math.max(2, kvHeads) * headSize];
        Arrays.fill(nan, Float.NaN);
        List<Act> acts = new ArrayList<>();
        for (int heads : new int[]{2, kvHeads}) {
            for (int i = 0; i < 3; i++) acts.add(s.act(heads * headSize, InputPolicy.F32, Arrays.copyOf(nan, rows * heads * headSize)));
        }
        Batch b = s.batch(blocks - 1);
        b.addSequence(IntStream.range(1, blocks).toArray(), blocks - 1);
        for (int r = 0; r < rows; r++) b.addRow(0, r, false);
        s.run(b, () -> {
            s.ops.ropeAppend(acts.get(0), acts.get(1), acts.get(2), null, still, pool, 0);
            s.ops.ropeAppend(acts.get(3), acts.get(4), acts.get(5), null, still, pool, 1);
        });
        return pool;
    }

    /** One attention layer: what is played again for each step. */
    private static final class Layer {
        final Stage s;
        final Attends a;
        final KvPool pool;
        final Act q;
        final Act k;
        final Act v;
        final Act out;
        final Rope still;

        Layer(Stage s, Attends a, int blocks, InputPolicy policy) {
            this.s = s;
            this.a = a;
            pool = poisoned(s, a.type(), a.kvHeads(), a.headSize(), blocks);
            q = s.act(a.kvOf().length * a.headSize(), InputPolicy.F32);
            k = s.act(a.kvHeads() * a.headSize(), InputPolicy.F32);
            v = s.act(a.kvHeads() * a.headSize(), InputPolicy.F32);
            out = s.act(q.cols(), policy);
            still = s.rope(0, a.headSize(), 1, false);
        }

        /** Appends and attends without rotation, so that the cache holds exactly what was written here. */
        void step(Batch b, float[] qs, float[] ks, float[] vs) {
            for (Act x : List.of(q, k, v, out)) {
                float[] poison = new float[s.limits().rows() * x.cols()];
                Arrays.fill(poison, Float.NaN);
                s.write(x, poison);
            }
            s.write(q, qs);
            s.write(k, ks);
            s.write(v, vs);
            s.run(b, () -> {
                s.ops.ropeAppend(q, k, v, null, still, pool, 1);
                s.ops.attend(q, pool, 1, a.attention(), out);
            });
        }

        void step(Batch b) {
            int rows = b.rows();
            step(b, s.gaussian(rows * q.cols()), s.gaussian(rows * k.cols()), s.gaussian(rows * v.cols()));
        }
    }

    private static final int[][] TABLES = {{7, 2, 9}, {4}, {10, 1, 6, 3, 12, 8, 11}};

    /** Rows of three sequences from and up to the given lengths, then padding. */
    private static Batch ragged(Stage s, int[] from, int[] to, int padding) {
        Batch b = s.batch(TABLES[2].length);
        for (int i = 0; i < from.length; i++) {
            b.addSequence(TABLES[i], TABLES[i].length);
            for (int p = from[i]; p < to[i]; p++) b.addRow(0, p, false);
        }
        for (int i = 0; i < padding; i++) b.addPadding();
        return b;
    }

    @ParameterizedTest
    @MethodSource("attentions")
    void attend(Attends a) {
        attend(a, InputPolicy.F32);
    }

    @Test
    void attendPacksForItsConsumer() {
        for (KvType type : KvType.values()) {
            inputs().skip(1).forEach(i -> attend(attends(type, 9, 3, 64, 0, 0), pinned(i)));
            if (inputs().anyMatch(Input.BF16::equals)) attend(attends(type, 4, 1, 26, 0, 0), InputPolicy.BF16);
        }
        attentions().filter(a -> attendsInBfloat16(a.type())).forEach(a -> {
            attend(a, InputPolicy.BF16);
            attend(a, InputPolicy.I8);
        });
    }

    private void attend(Attends a, InputPolicy policy) {
        conform("attend " + a + ", " + policy, new Limits(13 * KvSpec.BLOCK, 3, 1, 13), s -> {
            Layer l = new Layer(s, a, 13, policy);
            int[] first = {65, 1, 190};
            int[] second = {66, 2, 191};
            int[] third = {80, 31, 193};
            int[] fourth = {81, 32, 224};
            // a long prefill, a decode step with padding, chunks of several rows, up to the borders of blocks
            l.step(ragged(s, new int[3], first, 0));
            seeAttended(l, "prefill", 256);
            l.step(ragged(s, first, second, 2));
            seeAttended(l, "decode", 5);
            l.step(ragged(s, second, third, 1));
            seeAttended(l, "chunks", 46);
            l.step(ragged(s, third, fourth, 3));
            seeAttended(l, "to the border", 36);
            // without rotation both packed the same floats
            s.see("cache", l.pool, Agreement.EXACT);
        });
    }

    private void seeAttended(Layer l, String name, int rows) {
        if (l.out.policy().equals(InputPolicy.F32) || !attendsInBfloat16(l.a.type())) l.s.seePacked(name, l.out, rows);
        else
            l.s.see(name, l.out, rows, l.a.headSize() == 1 ? Agreement.BFLOAT16_OF_ONE : Agreement.BFLOAT16);
    }

    /** Scores above a thousand, exact in single precision: only a softmax that subtracts its maximum stands them. */
    @ParameterizedTest
    @EnumSource(KvType.class)
    void attendWithLargeScores(KvType type) {
        for (float sign : new float[]{1, -1}) {
            Attends a = new Attends(type, new int[]{0, 0}, 1, 64, 0, 0, 1);
            conform("large scores " + type + " x " + sign, new Limits(192, 3, 1, 7), s -> {
                Layer l = new Layer(s, a, 7, InputPolicy.F32);
                int rows = 100;
                float[] q = new float[rows * 128];
                float[] k = new float[rows * 64];
                for (int i = 0; i < q.length; i++) q[i] = i % 64 == 0 ? 16 * sign : s.random.nextInt(-1, 2);
                for (int i = 0; i < k.length; i++) k[i] = i % 64 == 0 ? 127 : s.random.nextInt(-1, 2);
                Batch b = s.batch(6);
                b.addSequence(new int[]{3, 1, 5, 2}, 4);
                for (int p = 0; p < rows; p++) b.addRow(0, p, false);
                l.step(b, q, k, s.gaussian(rows * 64));
                s.see("out", l.out, rows, Agreement.FLOAT);
            });
        }
    }

    @ParameterizedTest
    @EnumSource(KvType.class)
    void aPrefillIsItsTokensOneByOne(KvType type) {
        aPrefillIsItsTokensOneByOne(attends(type, 9, 3, 64, 0, 0), InputPolicy.F32);
        aPrefillIsItsTokensOneByOne(attends(type, 9, 3, 64, 21, 0), InputPolicy.F32);
        if (!attendsInBfloat16(type)) return;
        aPrefillIsItsTokensOneByOne(attends(type, 9, 3, 64, 0, 0), InputPolicy.BF16);
        aPrefillIsItsTokensOneByOne(attends(type, 9, 3, 64, 21, 0), InputPolicy.BF16);
    }

    private void aPrefillIsItsTokensOneByOne(Attends a, InputPolicy policy) {
        Limits limits = new Limits(5 * KvSpec.BLOCK, 1, 1, 5);
        int[] table = {4, 2, 5};
        int rows = 67;
        float[] prefill;
        try (Stage s = new Stage(open(2), limits, SEED)) {
            Layer l = new Layer(s, a, 6, policy);
            Batch b = s.batch(5);
            b.addSequence(table, 3);
            for (int p = 0; p < rows; p++) b.addRow(0, p, false);
            l.step(b, s.gaussian(rows * l.q.cols()), s.gaussian(rows * l.k.cols()), s.gaussian(rows * l.v.cols()));
            prefill = s.ops.read(l.out, rows);
        }
        try (Stage s = new Stage(open(2), limits, SEED)) {
            Layer l = new Layer(s, a, 6, policy);
            float[] q = s.gaussian(rows * l.q.cols());
            float[] k = s.gaussian(rows * l.k.cols());
            float[] v = s.gaussian(rows * l.v.cols());
            for (int p = 0; p < rows; p++) {
                Batch b = s.batch(5);
                b.addSequence(table, 3);
                b.addRow(0, p, false);
                l.step(b, row(q, p, l.q.cols()), row(k, p, l.k.cols()), row(v, p, l.v.cols()));
                Agreement.FLOAT.check(a + ": token " + p, row(prefill, p, l.out.cols()), s.ops.read(l.out, 1));
            }
        }
    }

    private static float[] row(float[] v, int row, int cols) {
        return Arrays.copyOfRange(v, row * cols, (row + 1) * cols);
    }

    /** Eight sequences decode in one step; each reads what it reads alone. */
    @ParameterizedTest
    @EnumSource(KvType.class)
    void aSequenceAloneIsTheSequenceAmongEight(KvType type) {
        float[][] together = eight(type, -1);
        for (int alone : new int[]{0, 3, 7}) {
            Agreement.FLOAT.check(type + ": sequence " + alone, together[alone], eight(type, alone)[alone]);
        }
    }

    private float[][] eight(KvType type, int only) {
        Attends a = attends(type, 4, 2, 26, 0, 0);
        float[][] out = new float[8][];
        try (Stage s = new Stage(open(2), new Limits(17 * KvSpec.BLOCK, 8, 1, 17), SEED)) {
            Layer l = new Layer(s, a, 18, InputPolicy.F32);
            for (int step = 0; step < 2; step++) {
                List<float[]> parts = new ArrayList<>();
                Batch b = s.batch(17);
                for (int i = 0; i < 8; i++) {
                    int length = 5 + 6 * i;
                    int n = step == 0 ? length : 1;
                    float[] q = s.gaussian(n * l.q.cols());
                    float[] k = s.gaussian(n * l.k.cols());
                    float[] v = s.gaussian(n * l.v.cols());
                    if (only >= 0 && only != i) continue;
                    parts.add(q);
                    parts.add(k);
                    parts.add(v);
                    b.addSequence(new int[]{17 - i, i + 1}, 2);
                    for (int p = 0; p < n; p++) b.addRow(0, step == 0 ? p : length, false);
                }
                int rows = b.rows();
                l.step(b, joined(parts, 0), joined(parts, 1), joined(parts, 2));
                if (step == 0) continue;
                float[] all = s.ops.read(l.out, rows);
                for (int r = 0; r < rows; r++) out[only < 0 ? r : only] = row(all, r, l.out.cols());
            }
        }
        return out;
    }

    private static float[] joined(List<float[]> parts, int of) {
        int n = 0;
        for (int i = of; i < parts.size(); i += 3) n += parts.get(i).length;
        float[] all = new float[n];
        int at = 0;
        for (int i = of; i < parts.size(); i += 3) {
            System.arraycopy(parts.get(i), 0, all, at, parts.get(i).length);
            at += parts.get(i).length;
        }
        return all;
    }

    @ParameterizedTest
    @EnumSource(KvType.class)
    void threadsDoNotChangeAttention(KvType type) {
        Attends a = attends(type, 9, 3, 64, 0, 0);
        agree("threads, attend " + a, new Limits(13 * KvSpec.BLOCK, 3, 1, 13), open(1), () -> open(3), s -> {
            Layer l = new Layer(s, a, 13, InputPolicy.F32);
            int[] first = {65, 1, 190};
            l.step(ragged(s, new int[3], first, 0));
            s.see("prefill", l.out, 256, Agreement.EXACT);
            l.step(ragged(s, first, new int[]{66, 2, 191}, 0));
            s.see("decode", l.out, 3, Agreement.EXACT);
            s.see("cache", l.pool, Agreement.EXACT);
        });
    }

    /** Sixteen of 64 values rotate, or all; neighbours or halves pair; with head norms and without. */
    @ParameterizedTest
    @CsvSource({"64, 64, false, false", "64, 64, true, false", "64, 16, false, true", "64, 16, true, true", "26, 26, false, true",
            "26, 26, true, false",
            "128, 96, false, false", "64, 0, false, true", "2, 2, true, false"})
    void ropeAppend(int headSize, int dims, boolean interleaved, boolean normed) {
        for (KvType type : KvType.values()) {
            String what = "ropeAppend %d of %d, interleaved %s, head norms %s, %s".formatted(dims, headSize, interleaved, normed, type);
            conform(what, new Limits(13 * KvSpec.BLOCK, 3, 1, 13), s -> {
                KvPool pool = poisoned(s, type, 3, headSize, 13);
                Act q = s.act(9 * headSize, InputPolicy.F32);
                Act k = s.act(3 * headSize, InputPolicy.F32);
                Act v = s.act(3 * headSize, InputPolicy.F32);
                Rope rope = s.rope(dims, headSize, 200, interleaved);
                HeadNorm norm = normed ? new HeadNorm(s.gains(headSize), s.gains(headSize), 1e-6f) : null;
                int[] at = {64, 1, 190};
                for (int[] next : new int[][]{{70, 2, 199}, {71, 3, 200}}) {
                    Batch b = ragged(s, at, next, 1);
                    int rows = b.rows();
                    float[] vs = s.gaussian(rows * v.cols());
                    s.write(q, s.gaussian(rows * q.cols()));
                    s.write(k, s.gaussian(rows * k.cols()));
                    s.write(v, vs);
                    s.run(b, () -> s.ops.ropeAppend(q, k, v, norm, rope, pool, 1));
                    s.see("q of " + rows, s.ops.read(q, rows), Agreement.FLOAT);
                    s.see("k of " + rows, s.ops.read(k, rows), Agreement.FLOAT);
                    assertArrayEquals(vs, s.ops.read(v, rows), "v is not to change");
                    at = next;
                }
                s.see("cache", pool, null);
            });
        }
    }

    @ParameterizedTest
    @EnumSource(KvType.class)
    void copiedBlocksAreRead(KvType type) {
        Attends a = attends(type, 4, 2, 26, 0, 0);
        conform("copyBlock " + type, new Limits(6 * KvSpec.BLOCK, 2, 1, 6), s -> {
            Layer l = new Layer(s, a, 7, InputPolicy.F32);
            Batch b = s.batch(6);
            b.addSequence(new int[]{5, 2}, 2);
            for (int p = 0; p < 45; p++) b.addRow(0, p, false);
            l.step(b);
            l.pool.copyBlock(2, 4);
            // two continuations of one prefix: block 5 is shared, the half-full one was copied
            b = s.batch(6);
            b.addSequence(new int[]{5, 2}, 2);
            b.addRow(0, 45, false);
            b.addSequence(new int[]{5, 4}, 2);
            b.addRow(0, 45, false);
            l.step(b);
            s.see("out", Arrays.copyOf(s.ops.read(l.out, 2), 2 * l.out.cols()), Agreement.FLOAT);
            s.see("cache", l.pool, Agreement.EXACT);
        });
    }

    // ---- what is not a number

    @ParameterizedTest
    @CsvSource({"NaN", "Infinity", "-Infinity"})
    void whatIsNotFiniteReachesProducts(float bad) {
        for (Format format : formats().toList()) {
            for (Input input : inputs().filter(i -> takes(format, i)).toList()) {
                int cols = floats(format) ? 43 : cols(format, 2);
                for (int rows : new int[]{1, 3, 33}) {
                    conform("%s in linear %s x %s, %d rows".formatted(bad, format, input, rows), room(rows), s -> {
                        Linear w = s.linear(format, 33, cols, pinned(input), false);
                        float[] v = s.gaussian(rows * cols);
                        v[s.random.nextInt(cols)] = bad;
                        Act x = s.act(cols, pinned(input), v);
                        Act y = s.act(33, InputPolicy.F32);
                        s.run(s.rows(rows), () -> s.ops.linear(x, w, y));
                        float[] out = s.see("x", x, rows, Agreement.EXACT);
                        assertTrue(
                                Float.isNaN(bad) == IntStream.range(0, cols).anyMatch(c -> Float.isNaN(out[c]))
                                        || input instanceof Input.I8);
                        float[] ys = s.ops.read(y, rows);
                        // an infinity times a zero weight is NaN, and which weights are zero depends on how a kernel splits scale and minimum
                        for (int o = 0; o < 33; o++) ys[o] = Float.isFinite(ys[o]) ? ys[o] : Float.NaN;
                        s.see("y", ys, Agreement.FLOAT);
                    });
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"NaN", "Infinity", "-Infinity"})
    void whatIsNotFiniteReachesPointwiseResults(float bad) {
        for (InputPolicy policy : inputs().map(InputPolicy::pinned).toList()) {
            conform(bad + " point-wise, " + policy, room(3), s -> {
                float[] v = s.gaussian(3 * 64);
                v[5] = bad;
                Act residual = s.act(64, InputPolicy.F32, v);
                Act gate = s.act(64, InputPolicy.F32, v);
                Act up = s.act(64, InputPolicy.F32, s.gaussian(3 * 64));
                Act normed = s.act(64, policy);
                List<Act> activated = Stream.of(Activation.values()).map(f -> s.act(64, policy)).toList();
                Norm norm = Norm.rms(s.gains(64), 1e-5f);
                s.run(s.rows(3), () -> {
                    s.ops.addNorm(residual, up, null, norm, false, normed);
                    for (Activation f : Activation.values()) s.ops.activate(f, gate, up, activated.get(f.ordinal()));
                });
                s.see("residual", residual, 3, Agreement.FLOAT);
                s.seePacked("normed", normed, 3);
                for (Activation f : Activation.values()) s.seePacked(f.name(), activated.get(f.ordinal()), 3);
            });
        }
    }

    @ParameterizedTest
    @EnumSource(KvType.class)
    void nanReachesAttention(KvType type) {
        Attends a = attends(type, 3, 1, 26, 0, 0);
        for (int where = 0; where < 3; where++) {
            int bad = where;
            conform("NaN in attention " + type + ", " + "qkv".charAt(where), new Limits(6 * KvSpec.BLOCK, 2, 1, 6), s -> {
                Layer l = new Layer(s, a, 7, InputPolicy.F32);
                Batch b = s.batch(6);
                b.addSequence(new int[]{5, 2}, 2);
                for (int p = 0; p < 40; p++) b.addRow(0, p, false);
                b.addSequence(new int[]{1}, 1);
                b.addRow(0, 0, false);
                List<float[]> qkv = List.of(s.gaussian(41 * l.q.cols()), s.gaussian(41 * l.k.cols()), s.gaussian(41 * l.v.cols()));
                qkv.get(bad)[20 * (bad == 0 ? l.q.cols() : l.k.cols()) + 3] = Float.NaN;
                l.step(b, qkv.get(0), qkv.get(1), qkv.get(2));
                float[] out = s.see("out", l.out, 41, Agreement.FLOAT);
                assertTrue(IntStream.range(20 * l.q.cols(), 21 * l.q.cols()).anyMatch(i -> Float.isNaN(out[i])), "the NaN is to be seen");
                s.see("cache", l.pool, Agreement.EXACT);
            });
        }
    }

    // ---- fused operations

    /** A small decoder block, its operands and the body that a step plays. */
    private static final class Block {
        final Stage s;
        final int dim;
        final int width;
        final int headSize = 32;
        final Weight table;
        final Qkv qkv;
        final Linear o;
        final Ffn ffn;
        final Linear output;
        final KvPool pool;
        final Rope rope;
        final HeadNorm headNorm;
        final Norm norm;
        final Attention attention = new Attention(new int[]{0, 0, 1, 1}, headSize, 0.2f, 0, 0);
        final Act x;
        final Act in;
        final Act q;
        final Act k;
        final Act v;
        final Act mixed;
        final Act delta;
        final Act gate;
        final Act up;
        final Act hidden;
        final Act last;
        final Logits logits;
        final TopK best;

        Block(Stage s, Format format, InputPolicy policy, boolean gated) {
            this.s = s;
            dim = format.group() == 256 ? 256 : format.pads() ? 172 : 128;
            width = 2 * dim;
            table = s.table(s.tensor(format, 61, dim), policy);
            List<Weight> w = s.ops.place(List.of(s.tensor(format, 4 * headSize, dim), s.tensor(format, 2 * headSize, dim),
                    s.tensor(format, 2 * headSize, dim)), policy, EnumSet.of(Use.PRODUCT));
            qkv = new Qkv(new Linear(w.get(0), s.values(s.gaussian(4 * headSize))), new Linear(w.get(1), null), new Linear(w.get(2), null));
            Format inner = format.group() == 256 ? Format.Q8_0 : format;
            o = s.linear(inner, dim, 4 * headSize, policy, false);
            Linear upward = s.linear(format, width, dim, policy, !gated);
            Linear down = s.linear(format, dim, width, policy, false);
            ffn = gated
                    ? new Ffn.Gated(s.linear(format, width, dim, policy, false), upward, down, Activation.SILU)
                    : new Ffn.Plain(upward, down, Activation.GELU_TANH);
            output = new Linear(table, null);
            pool = poisoned(s, KvType.F32, 2, headSize, 8);
            rope = s.rope(headSize, headSize, 64, true);
            headNorm = new HeadNorm(s.gains(headSize), s.gains(headSize), 1e-6f);
            norm = Norm.rms(s.gains(dim), 1e-5f);
            x = s.act(dim, InputPolicy.F32);
            in = s.act(dim, policy);
            q = s.act(4 * headSize, InputPolicy.F32);
            k = s.act(2 * headSize, InputPolicy.F32);
            v = s.act(2 * headSize, InputPolicy.F32);
            mixed = s.act(4 * headSize, policy);
            delta = s.act(dim, InputPolicy.F32);
            gate = s.act(width, InputPolicy.F32);
            up = s.act(width, InputPolicy.F32);
            hidden = s.act(width, policy);
            last = s.act(dim, policy);
            logits = s.logits(61);
            best = s.topK(3);
        }

        void play() {
            s.ops.embed(Embedding.of(table), x);
            s.ops.addNorm(x, null, null, norm, false, in);
            s.ops.qkv(in, qkv, headNorm, rope, pool, 1, q, k, v);
            s.ops.attend(q, pool, 1, attention, mixed);
            s.ops.linear(mixed, o, delta);
            s.ops.addNorm(x, delta, null, norm, false, in);
            s.ops.ffn(in, ffn, gate, up, hidden, delta);
            s.ops.addNorm(x, delta, null, norm, false, last);
            s.ops.logits(last, output, 0, logits);
            s.ops.topK(logits, 3, best);
        }
    }

    /** Formats of a block, its inputs, and whether its feed-forward part is gated. */
    Stream<Arguments> blocks() {
        return Stream
                .of(Format.F32, Format.I8_ROW, Format.Q4_0, Format.Q8_0, Format.Q4_K, Format.I8_24, Format.i4TwoOfFour(128))
                .filter(formats().toList()::contains)
                .flatMap(f -> inputs().filter(i -> takes(f, i))
                        .flatMap(i -> Stream.of(true, false).map(gated -> Arguments.of(f, i, gated))));
    }

    @ParameterizedTest
    @MethodSource("blocks")
    void fusedOperationsAreTheirPrimitives(Format format, Input input, boolean gated) {
        for (int rows : new int[]{1, 5, 20}) {
            for (boolean primitives : new boolean[]{true, false}) {
                String what = "fused %s x %s, gated %s, %d rows, against %s".formatted(format, input, gated, rows,
                        primitives ? "primitives" : "reference");
                Agreement near = input.equals(Input.F32) ? Agreement.FLOAT : Agreement.REPACKED;
                Limits limits = new Limits(7 * KvSpec.BLOCK, 1, 1, 7);
                Consumer<Stage> play = s -> {
                    Block block = new Block(s, format, pinned(input), gated);
                    s.write(block.in, s.gaussian(rows * block.dim));
                    Batch b = s.batch(7);
                    b.addSequence(new int[]{3}, 1);
                    for (int p = 0; p < rows; p++) b.addRow(0, p, false);
                    s.run(b, () -> {
                        s.ops.qkv(block.in, block.qkv, block.headNorm, block.rope, block.pool, 1, block.q, block.k, block.v);
                        s.ops.ffn(block.in, block.ffn, block.gate, block.up, block.hidden, block.delta);
                    });
                    s.see("q", block.q, rows, Agreement.FLOAT);
                    s.see("cache", block.pool, null);
                    s.see("delta", block.delta, rows, near);
                };
                if (primitives) {
                    agree(what, limits, new PrimitivesOnly(open(2)), () -> open(2), play);
                } else {
                    conform(what, limits, play);
                }
            }
        }
    }

    // ---- steps

    /** One key, other tokens, positions, sequences, tables and rows that ask: nothing of the first batch may be baked into a recorded step. */
    @ParameterizedTest
    @MethodSource("blocks")
    void oneKeyAndOtherBatches(Format format, Input input, boolean gated) {
        // One code that is off puts others off, until those of a block's five packings are rounded independently: a difference of step^2 / 6 each.
        // A step is max / 127, a thirtieth of the deviation at most: 5 * 1.9e-4 in all; in bfloat16 it is 2^-7 of the value at most: 5 * 1e-5.
        double packed = input.equals(Input.BF16) ? 5e-5 : 1e-3;
        Agreement near = new Agreement.Nmse(input.equals(Input.F32) ? 1e-10 : packed);
        conform("one key, %s x %s, gated %s".formatted(format, input, gated), new Limits(7 * KvSpec.BLOCK, 3, 4, 7), s -> {
            Block block = new Block(s, format, pinned(input), gated);
            int[][] tables = {{6, 1}, {2}, {5, 3}};
            int[] length = new int[3];
            int[][] orders = {{0, 1, 2}, {2, 0, 1}, {1, 2, 0}};
            for (int step = 0; step < 6; step++) {
                Batch b = s.batch(7);
                int rows = 0;
                for (int i = 0; i < 3; i++) {
                    int sequence = orders[step % 3][i];
                    b.addSequence(tables[sequence], tables[sequence].length);
                    int n = i == step % 2 ? 4 : 1 + step % 2;
                    for (int r = 0; r < n; r++) b.addRow(s.random.nextInt(61), length[sequence]++, r == n - 1);
                    rows += n;
                }
                while (b.rows() < 10) b.addPadding();
                s.run(b, block::play);
                s.see("x of step " + step, Arrays.copyOf(s.ops.read(block.x, 10), rows * block.dim), near);
                s.see("logits of step " + step, s.ops.read(block.logits), near);
                checkBest(s.ops.read(block.logits), s.ops.read(block.best));
            }
            if (input.equals(Input.F32)) s.see("cache", block.pool, near);
        });
    }

    private static void checkBest(float[] logits, int[] best) {
        assertEquals(9, best.length);
        for (int i = 0; i < best.length; i++) {
            int row = i / 3;
            float score = logits[row * 61 + best[i]];
            long above = IntStream.range(0, 61).filter(t -> logits[row * 61 + t] > score).count();
            assertEquals(i % 3, above, "rank of the token at " + i);
        }
    }

    /** Another workspace, another cache, the same key: a step that was recorded with the closed ones must be forgotten. */
    @Test
    void closedOperandsAreForgotten() {
        Ops expected = new ReferenceOps(1);
        Ops actual = open(2);
        try (actual) {
            for (int cols : new int[]{64, 32, 96}) {
                agree("after a close, " + cols, room(4), kept(expected), () -> kept(actual), s -> {
                    Act x = s.act(cols, InputPolicy.F32, s.gaussian(4 * cols));
                    Act out = s.act(cols, InputPolicy.F32);
                    Norm norm = Norm.rms(s.gains(cols), 1e-5f);
                    s.run(s.rows(4), () -> s.ops.addNorm(x, null, null, norm, false, out));
                    s.see("out", out, 4, Agreement.FLOAT);
                });
            }
        }
        expected.close();
    }

    /** The kernels, not to be closed with a stage. */
    private static Ops kept(Ops ops) {
        return new PrimitivesOnly(ops) {
            @Override
            public void close() {
                // the next stage goes on with them
            }
        };
    }

    @Test
    void aFailedStepLeavesNothingBehind() {
        try (Stage s = new Stage(open(2), room(2), SEED)) {
            Act x = s.act(32, InputPolicy.F32, s.gaussian(64));
            Act out = s.act(32, InputPolicy.F32);
            Norm norm = Norm.rms(s.gains(32), 1e-5f);
            assertThrows(ArithmeticException.class, () -> s.run(s.rows(2), () -> {
                s.ops.addNorm(x, null, null, norm, false, out);
                throw new ArithmeticException("planted");
            }));
            s.run(s.rows(2), () -> s.ops.addNorm(x, null, null, norm, true, out));
            assertArrayEquals(s.ops.read(x, 2), s.ops.read(out, 2), "the second body ran, which keeps what is normed");
        }
    }
}
