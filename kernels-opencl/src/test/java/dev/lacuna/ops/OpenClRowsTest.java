package dev.lacuna.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.lacuna.kernels.opencl.OpenClTier;
import dev.lacuna.tensor.Format;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A row has the same bits alone and in a batch of any size, whichever kernel that takes, and in logits of chosen rows. */
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
}
