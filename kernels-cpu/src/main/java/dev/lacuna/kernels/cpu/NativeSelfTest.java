package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Weight;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Codec;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a tier has to get right before it may run: products of each family of formats and inputs, of few rows and of many, on whole numbers that every
 * format and every input holds exactly, so that the results are exact in whatever order they are summed.
 */
final class NativeSelfTest {
    /** Two tiles, the second not full; blocks that are no whole number of any tile; rows that are many. */
    private static final int OUTS = 18;
    private static final int COLS = 96;
    private static final int ROWS = 13;
    private static final float LARGEST = 127;

    private static final List<Case> CASES = List.of(new Case(Format.F16, Input.F32), new Case(Format.F16, Input.BF16),
            new Case(Format.Q4_1, Input.F32), new Case(Format.Q4_1, Input.I8), new Case(Format.Q4_1, Input.BF16),
            new Case(Format.Q8_0, Input.I8), new Case(Format.I8_ROW, Input.I8), new Case(Format.I8_ROW, new Input.I8(64)),
            new Case(Format.I8_ROW, new Input.I8(0)));

    private record Case(Format format, Input input) {}

    private final float[] x = new float[ROWS * COLS];
    private final float[] bytes = weights(true);
    private final float[] nibbles = weights(false);
    private final float[] ofBytes;
    private final float[] ofNibbles;

    private NativeSelfTest() {
        for (int r = 0; r < ROWS; r++) {
            // a largest value in each block makes the scales of bytes one
            for (int c = 0; c < COLS; c++) x[r * COLS + c] = c % 32 == r ? -LARGEST : (5 * c + r) % 15 - 7;
        }
        ofBytes = products(bytes);
        ofNibbles = products(nibbles);
    }

    /** What a tier gets wrong, or null. */
    static @Nullable String failure(NativeLibrary library, String isa) {
        NativeSelfTest test = new NativeSelfTest();
        try (NativeOps ops = new NativeOps(library, library.kernels(isa), Team.of(1), NativeMemory::plain)) {
            Limits limits = new Limits(ROWS, 1, 1, 1);
            try (Workspace room = ops.workspace(limits)) {
                for (Case c : CASES) {
                    String wrong = test.play(ops, room, limits, c);
                    if (wrong != null) return "its self-test failed: " + wrong;
                }
            }
            return null;
        } catch (RuntimeException e) {
            return "its self-test failed: " + e;
        }
    }

    private @Nullable String play(NativeOps ops, Workspace room, Limits limits, Case c) {
        boolean bytes = c.format.bits() == 8;
        float[] w = bytes ? this.bytes : nibbles;
        float[] expected = bytes ? ofBytes : ofNibbles;
        MemorySegment packed = MemorySegment.ofArray(new byte[Math.toIntExact(c.format.bytes(OUTS, COLS))]);
        for (int o = 0; o < OUTS; o++) Codec.of(c.format).encode(w, o * COLS, COLS, packed, o * c.format.rowBytes(COLS));
        InputPolicy policy = InputPolicy.pinned(c.input);
        Weight placed = ops.place(List.of(new Tensor("self-test", c.format, OUTS, COLS, packed)), policy, Set.of(Use.PRODUCT)).getFirst();
        Act in = room.act(COLS, policy);
        Act out = room.act(OUTS, InputPolicy.F32);
        for (int rows : new int[]{ROWS, 1}) {
            ops.write(in, Arrays.copyOf(x, rows * COLS));
            Batch b = new Batch(limits);
            b.clear(1);
            b.addSequence(new int[]{1}, 1);
            for (int r = 0; r < rows; r++) b.addRow(0, 0, false);
            ops.run(Step.of(0, b), b, () -> ops.linear(in, new Linear(placed, null), out));
            float[] y = ops.read(out, rows);
            int at = Arrays.mismatch(y, Arrays.copyOf(expected, y.length));
            if (at >= 0) {
                return "%s x %s, %d rows: output %d of row %d is %s, not %s".formatted(c.format, c.input, rows, at % OUTS, at / OUTS, y[at],
                        expected[at]);
            }
        }
        return null;
    }

    /** Whole numbers whose range in each block makes the format's scale one. */
    private static float[] weights(boolean bytes) {
        float[] w = new float[OUTS * COLS];
        for (int i = 0; i < w.length; i++) w[i] = bytes && i % 32 == 0 ? LARGEST : (7 * i + 3 * (i / COLS)) % 16 - 8;
        return w;
    }

    private float[] products(float[] w) {
        float[] y = new float[ROWS * OUTS];
        for (int i = 0; i < y.length; i++) {
            float sum = 0;
            for (int c = 0; c < COLS; c++) sum += w[i % OUTS * COLS + c] * x[i / OUTS * COLS + c];
            y[i] = sum;
        }
        return y;
    }
}
