package dev.lacuna.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The part of the conformance suite that is about chosen rows: which are chosen, and products of those alone. */
abstract class RowSetConformance {
    /** Neurons of which some run. */
    private static final int[] WIDTHS = {1, 33, 172, 576};
    private static final int[] ROWS = {1, 3, 9, 33};
    /** Widths times rows that are played for every set. */
    private static final int MOST = 6000;

    abstract void conform(String what, Limits limits, Consumer<Stage> play);

    abstract void conform(String what, Limits limits, Ops expected, Consumer<Stage> play);

    protected abstract Ops open(int threads);

    private static Limits room(int rows) {
        return new Limits(rows + 2, 1, 1, 1);
    }

    private List<Format> gathers() {
        try (Ops ops = open(1)) {
            return ops.gathers();
        }
    }

    private void assumeGathering() {
        assumeTrue(!gathers().isEmpty(), "these kernels gather no rows");
    }

    /** Nothing, everything, the ends, about one in ten, all but one in ten. */
    private static Stream<int[]> sets(int capacity, Random random) {
        boolean[] tenth = new boolean[capacity];
        for (int i = 0; i < capacity; i++) tenth[i] = random.nextInt(10) == 0;
        return Stream.of(IntStream.empty(), IntStream.range(0, capacity), IntStream.of(0), IntStream.of(capacity - 1),
                IntStream.range(0, capacity).filter(i -> tenth[i]), IntStream.range(0, capacity).filter(i -> !tenth[i]))
                .map(IntStream::toArray);
    }

    private static int cols(Format format) {
        return format.group() == 1 ? 172 : format.group() == 256 ? 256 : cols(format, 3);
    }

    /** Columns of some groups, the last of them partly filled where rows are padded. */
    static int cols(Format format, int groups) {
        return groups * format.group() - (format.pads() ? 37 : 0);
    }

    private static Weight place(Stage s, Tensor t, InputPolicy policy, Use use) {
        return s.ops.place(List.of(t), policy, Set.of(use)).getFirst();
    }

    private static RowSet set(Stage s, int[] rows, int capacity) {
        RowSet set = s.rowSet(capacity);
        assertEquals(capacity, set.capacity());
        assertArrayEquals(new int[0], s.ops.read(set), "a new set is empty");
        int[] host = rows.clone();
        s.ops.write(set, host);
        Arrays.fill(host, -1);
        assertArrayEquals(rows, s.ops.read(set));
        return set;
    }

    @ParameterizedTest
    @MethodSource("formatsAndInputsOfChosenRows")
    void chosenRowsAndColumns(Format format, Input input) {
        if (!gathers().contains(format)) {
            refused(format);
            return;
        }
        for (boolean whole : new boolean[]{false, true}) {
            for (int width : WIDTHS) {
                for (int rows : ROWS) {
                    if (width * rows > MOST) continue;
                    sets(width, new Random(width + rows)).forEach(active -> chosen(format, input, whole, width, rows, active));
                }
            }
        }
    }

    private void chosen(Format format, Input input, boolean whole, int width, int rows, int[] active) {
        int cols = cols(format);
        String what = "%d of %d rows of %s x %s, %d rows, whole %s, set %08x".formatted(active.length, width, format, input, rows,
                whole, Arrays.hashCode(active));
        // a single sum may happen to be almost zero: its error is that of its terms, of about one each
        Agreement near = whole ? Agreement.EXACT : new Agreement.Nmse(1e-11, 0.3 * active.length * rows * cols);
        conform(what, room(rows), s -> {
            InputPolicy policy = InputPolicy.pinned(input);
            Tensor t = whole ? s.wholeTensor(format, width, cols) : s.tensor(format, width, cols);
            Linear w = new Linear(place(s, t, policy, Use.ROWS), whole ? null : s.values(s.gaussian(width)));
            Tensor down = whole ? s.wholeTensor(format, width, cols) : s.tensor(format, width, cols);
            Linear wT = new Linear(place(s, down, InputPolicy.F32, Use.COLUMNS), whole ? null : s.values(s.gaussian(cols)));
            Act x = s.act(cols, policy, whole ? s.whole(rows, cols) : s.gaussian(rows * cols));
            float[] weights = whole ? s.whole(rows, width) : s.gaussian(rows * width);
            Act hidden = s.act(width, InputPolicy.F32, weights);
            Act compact = s.act(width, InputPolicy.F32);
            Act y = s.act(cols, InputPolicy.F32);
            RowSet set = set(s, active, width);
            s.run(s.rows(rows), () -> {
                s.ops.rows(x, w, set, compact);
                s.ops.columns(hidden, wT, set, y);
            });
            float[] v = s.see("compact", compact, rows, near);
            for (int i = 0; i < v.length; i++) {
                assertTrue(i % width < active.length || v[i] == 0, what + ": what is past the set is not zero");
            }
            s.see("y", y, rows, near);
            s.see("hidden after", hidden, rows, Agreement.EXACT);
        });
    }

    private void refused(Format format) {
        try (Stage s = new Stage(open(1), room(1), 1)) {
            for (Use use : List.of(Use.ROWS, Use.COLUMNS)) {
                Tensor t = s.tensor(format, 3, cols(format));
                UnsupportedKernelException e = assertThrows(UnsupportedKernelException.class, () -> place(s, t, InputPolicy.F32, use));
                assertTrue(e.getMessage().contains(t.name()), e.getMessage());
                assertTrue(e.getMessage().contains("--weights ") || s.ops.gathers().isEmpty() && e.getMessage().contains("--kernels"),
                        e.getMessage());
            }
        }
    }

    /** Steps of one key and other sets, one of them larger than any before: nothing of the first may be baked into a recorded step. */
    @Test
    void oneKeyAndOtherSets() {
        assumeGathering();
        conform("other sets", room(2), s -> {
            int width = 70;
            Linear w = new Linear(place(s, s.tensor(Format.F32, width, 9), InputPolicy.F32, Use.ROWS), null);
            Act x = s.act(9, InputPolicy.F32, s.gaussian(18));
            Act compact = s.act(width, InputPolicy.F32);
            RowSet set = s.rowSet(width);
            for (int n : new int[]{3, 70, 0, 17}) {
                s.ops.write(set, IntStream.range(width - n, width).toArray());
                s.run(s.rows(2), () -> s.ops.rows(x, w, set, compact));
                s.see("compact of " + n, compact, 2, Agreement.FLOAT);
            }
        });
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 31, 576, 2046})
    void select(int capacity) {
        assumeGathering();
        for (float threshold : new float[]{0, 1.5f, -100, 100, Float.NEGATIVE_INFINITY, Float.POSITIVE_INFINITY}) {
            for (int rows : ROWS) {
                String what = "select of %d above %s, %d rows".formatted(capacity, threshold, rows);
                conform(what, room(rows), s -> {
                    float[] v = s.gaussian(rows * capacity);
                    v[s.random.nextInt(v.length)] = Float.NaN;
                    v[s.random.nextInt(v.length)] = threshold;
                    v[s.random.nextInt(v.length)] = Float.POSITIVE_INFINITY;
                    Act scores = s.act(capacity, InputPolicy.F32, v);
                    RowSet set = s.rowSet(capacity);
                    // the last row is padding: it chooses nothing
                    Batch b = s.batch(1);
                    b.addSequence(new int[]{1}, 1);
                    for (int r = 0; r < rows - 1; r++) b.addRow(0, 0, false);
                    b.addPadding();
                    s.run(b, () -> s.ops.select(scores, threshold, set));
                    int[] found = s.ops.read(set);
                    int[] expected = IntStream.range(0, capacity)
                            .filter(j -> IntStream.range(0, rows - 1).anyMatch(r -> v[r * capacity + j] > threshold)).toArray();
                    assertArrayEquals(expected, found, what);
                });
            }
        }
    }

    /** Chosen by scores and used in one step: the size of the set is known only where the kernels are. */
    @ParameterizedTest
    @CsvSource({"true, 1", "true, 5", "false, 1", "false, 5"})
    void feedForwardOfChosenNeurons(boolean gated, int rows) {
        assumeGathering();
        for (Ops expected : List.of(new ReferenceOps(2), new PrimitivesOnly(open(2)))) {
            String what = "chosen neurons, gated %s, %d rows, against %s".formatted(gated, rows, expected.getClass().getSimpleName());
            conform(what, room(rows), expected, s -> {
                int dim = 64;
                int width = 160;
                Linear up = new Linear(place(s, s.tensor(Format.Q8_0, width, dim), InputPolicy.I8, Use.ROWS),
                        gated ? null : s.values(s.gaussian(width)));
                Linear down = new Linear(place(s, s.tensor(Format.Q8_0, width, dim), InputPolicy.F32, Use.COLUMNS), null);
                Ffn ffn = gated
                        ? new Ffn.Gated(new Linear(place(s, s.tensor(Format.Q8_0, width, dim), InputPolicy.I8, Use.ROWS), null), up, down,
                                Activation.SILU)
                        : new Ffn.Plain(up, down, Activation.RELU);
                Act x = s.act(dim, InputPolicy.I8, s.gaussian(rows * dim));
                Act scores = s.act(width, InputPolicy.F32, s.gaussian(rows * width));
                Act gate = s.act(width, InputPolicy.F32);
                Act upward = s.act(width, InputPolicy.F32);
                Act hidden = s.act(width, InputPolicy.F32);
                Act delta = s.act(dim, InputPolicy.F32);
                RowSet set = s.rowSet(width);
                Runnable body = () -> {
                    s.ops.select(scores, 0.8f, set);
                    s.ops.ffn(x, ffn, set, gate, upward, hidden, delta);
                };
                for (int again = 0; again < 3; again++) {
                    s.write(scores, s.gaussian(rows * width));
                    s.run(s.rows(rows), body);
                    assertTrue(s.ops.read(set).length > 0, "some are chosen");
                    s.see("delta " + again, delta, rows, Agreement.FLOAT);
                }
            });
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 9, 33})
    void threadsDoNotChangeChosenProducts(int rows) {
        assumeGathering();
        for (Format format : gathers()) {
            conform("threads, chosen rows of " + format + ", " + rows, room(rows), open(1), s -> {
                int cols = cols(format);
                Linear w = new Linear(place(s, s.tensor(format, 301, cols), InputPolicy.F32, Use.ROWS), null);
                Linear wT = new Linear(place(s, s.tensor(format, 301, cols), InputPolicy.F32, Use.COLUMNS), null);
                Act x = s.act(cols, InputPolicy.F32, s.gaussian(rows * cols));
                Act compact = s.act(301, InputPolicy.F32);
                Act y = s.act(cols, InputPolicy.F32);
                RowSet set = set(s, IntStream.range(0, 150).map(i -> 2 * i).toArray(), 301);
                s.run(s.rows(rows), () -> {
                    s.ops.rows(x, w, set, compact);
                    s.ops.columns(compact, wT, set, y);
                });
                s.see("compact", compact, rows, Agreement.EXACT);
                s.see("y", y, rows, Agreement.EXACT);
            });
        }
    }

    /** An infinite or undefined weight of a neuron that does not run is nobody's business; one that runs is. */
    @Test
    void whatIsNotFiniteAndNotChosenStaysOut() {
        assumeGathering();
        conform("not finite, not chosen", room(1), s -> {
            Linear wT = new Linear(place(s, s.tensor(Format.F32, 40, 33), InputPolicy.F32, Use.COLUMNS), null);
            float[] v = s.gaussian(40);
            v[2] = Float.NaN;
            v[5] = Float.NaN;
            Act hidden = s.act(40, InputPolicy.F32, v);
            Act y = s.act(33, InputPolicy.F32);
            RowSet two = set(s, new int[]{3, 30}, 40);
            s.run(s.rows(1), () -> s.ops.columns(hidden, wT, two, y));
            for (float f : s.see("y", y, 1, Agreement.FLOAT)) assertTrue(Float.isFinite(f), "the third weight is past the set");
            s.ops.write(two, new int[]{3, 7, 30});
            s.run(s.rows(1), () -> s.ops.columns(hidden, wT, two, y));
            for (float f : s.see("y of three", y, 1, Agreement.FLOAT)) assertTrue(Float.isNaN(f), "now it is chosen");
        });
    }
}
