package dev.lacuna.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.lacuna.kernels.opencl.OpenClTier;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A row has the same bits alone and in a batch of any size, whichever kernel that takes, in logits of chosen rows, and with chosen weights. */
class OpenClRowsTest {
    private static final int COLS = 17 * 128;
    private static final int OUTS = 45;

    static Stream<Arguments> products() {
        return OpenClTier.formats().flatMap(f -> f.kind() == Format.Kind.FLOAT
                ? Stream.of(Arguments.of(f, Input.F32))
                : Stream.of(Arguments.of(f, Input.F32), Arguments.of(f, Input.I8)));
    }

    @ParameterizedTest
    @MethodSource("products")
    void aRowHasTheSameBitsInEveryKernel(Format format, Input input) {
        int rows = 21;
        InputPolicy policy = InputPolicy.pinned(input);
        try (Stage s = new Stage(OpenClTier.open(), new Limits(rows, 1, rows, 1), 7)) {
            Linear w = s.linear(format, OUTS, COLS, policy, true);
            float[] v = s.gaussian(rows * COLS);
            Act x = s.act(COLS, policy);
            Act y = s.act(OUTS, InputPolicy.F32);
            Logits l = s.logits(OUTS);
            float[] all = null;
            for (int n : new int[]{rows, 9, 8, 5, 4, 2, 1}) {
                s.write(x, Arrays.copyOf(v, n * COLS));
                s.run(s.rows(n), () -> s.ops.linear(x, w, y));
                float[] out = s.ops.read(y, n);
                if (all == null) all = out;
                assertArrayEquals(Arrays.copyOf(all, out.length), out, n + " rows");
            }
            s.write(x, v);
            for (int step : new int[]{2, 10}) {
                Batch b = s.batch(1);
                b.addSequence(new int[]{1}, 1);
                for (int r = 0; r < rows; r++) b.addRow(0, 0, r % step == 1);
                int asked = b.logitRows();
                s.run(b, () -> s.ops.logits(x, w, 0, l));
                float[] scores = s.ops.read(l);
                for (int i = 0; i < asked; i++) {
                    int row = i * step + 1;
                    assertArrayEquals(Arrays.copyOfRange(all, row * OUTS, (row + 1) * OUTS),
                            Arrays.copyOfRange(scores, i * OUTS, (i + 1) * OUTS), "logits of row " + row);
                }
            }
        }
    }

    /** In a product each has the bits that it has among all. */
    @ParameterizedTest
    @MethodSource("products")
    void chosenWeightsGiveTheSameBits(Format format, Input input) {
        int rows = 11;
        InputPolicy policy = InputPolicy.pinned(input);
        try (Stage s = new Stage(OpenClTier.open(), new Limits(rows, 1, 1, 1), 8)) {
            Tensor t = s.tensor(format, OUTS, COLS);
            Values bias = s.values(s.gaussian(OUTS));
            Linear all = new Linear(s.place(t, policy), bias);
            Linear some = new Linear(s.ops.place(List.of(t), policy, Set.of(Use.ROWS)).getFirst(), bias);
            Linear sums = new Linear(s.ops.place(List.of(t), InputPolicy.F32, Set.of(Use.COLUMNS)).getFirst(), s.values(s.gaussian(COLS)));
            RowSet set = s.rowSet(OUTS);
            int[] chosen = IntStream.range(0, OUTS).filter(i -> i % 4 != 1).toArray();
            s.ops.write(set, chosen);
            float[] v = s.gaussian(rows * COLS);
            Act x = s.act(COLS, policy);
            Act y = s.act(OUTS, InputPolicy.F32);
            Act compact = s.act(OUTS, InputPolicy.F32);
            Act sum = s.act(COLS, InputPolicy.F32);
            float[] most = null;
            for (int n : new int[]{rows, 8, 4, 1}) {
                s.write(x, Arrays.copyOf(v, n * COLS));
                s.run(s.rows(n), () -> {
                    s.ops.linear(x, all, y);
                    s.ops.rows(x, some, set, compact);
                    s.ops.columns(compact, sums, set, sum);
                });
                float[] dense = s.ops.read(y, n);
                float[] expected = new float[n * OUTS];
                for (int r = 0; r < n; r++) {
                    for (int j = 0; j < chosen.length; j++) expected[r * OUTS + j] = dense[r * OUTS + chosen[j]];
                }
                assertArrayEquals(expected, s.ops.read(compact, n), n + " rows");
                float[] out = s.ops.read(sum, n);
                if (most == null) most = out;
                assertArrayEquals(Arrays.copyOf(most, out.length), out, "sums of " + n + " rows");
            }
        }
    }

    /** More scores than a work-group looks at in one go, and each place in it. */
    @ParameterizedTest
    @ValueSource(ints = {4095, 4096, 4097, 11003})
    void manyScoresAreChosenFrom(int capacity) {
        int rows = 3;
        try (Stage s = new Stage(OpenClTier.open(), new Limits(rows, 1, 1, 1), capacity)) {
            RowSet set = s.rowSet(capacity);
            Act scores = s.act(capacity, InputPolicy.F32);
            for (float threshold : new float[]{-9, 0.5f, 2, 9}) {
                float[] v = s.gaussian(rows * capacity);
                s.write(scores, v);
                s.run(s.rows(rows), () -> s.ops.select(scores, threshold, set));
                assertArrayEquals(IntStream.range(0, capacity)
                        .filter(j -> IntStream.range(0, rows).anyMatch(r -> v[r * capacity + j] > threshold)).toArray(), s.ops.read(set));
            }
        }
    }
}
