package dev.lacuna.benchmarks;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.MachineRates;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import java.util.Set;

/**
 * Matrix products of many rows alone: operations a second, median of repetitions, and the share of the machine's own rate of the same operations, which
 * is measured before each repetition, since other guests of a host change what there is from minute to minute.
 */
public final class Gemm {
    private record Case(Format format, Input input) {}

    private static final List<Case> CASES = List.of(new Case(Format.I8_ROW, new Input.I8(0)), new Case(Format.I8_ROW, new Input.I8(128)),
            new Case(Format.I8_ROW, new Input.I8(64)), new Case(Format.I8_ROW, Input.I8), new Case(Format.Q8_0, Input.I8),
            new Case(Format.Q4_0, Input.I8), new Case(Format.Q4_1, Input.I8), new Case(Format.i4Group(128), new Input.I8(128)),
            new Case(Format.I8_24, new Input.I8(0)), new Case(Format.I8_BITMASK, new Input.I8(0)),
            new Case(Format.i4TwoOfFour(128), new Input.I8(128)), new Case(Format.i4Bitmask(128), new Input.I8(128)),
            new Case(Format.I8_24, Input.I8),
            new Case(Format.BF16, Input.BF16), new Case(Format.F16, Input.BF16), new Case(Format.Q4_0, Input.BF16));

    private final int rows;
    private final int in;
    private final int out;
    private final int repetitions;
    private final OpsOptions options;

    private Gemm(Arguments given) {
        rows = given.number("--rows", 512, 1);
        in = given.number("--in", 2048, 1);
        out = given.number("--out", 8192, 1);
        repetitions = given.number("--repetitions", 9, 1);
        options = given.kernels();
        given.done();
    }

    /** Runs every case and prints a line for each. */
    public static void main(String[] args) {
        new Gemm(new Arguments(args)).run();
    }

    private void run() {
        System.out.printf("%d rows, %d inputs, %d outputs, %d threads, %s%n", rows, in, out, options.threadsOrAll(),
                Backends.find().tiers().getFirst().detail());
        MachineRates machine = Backends.find().rates(options);
        if (machine == null) throw new IllegalStateException("the C kernels cannot tell the machine's rate");
        try (machine; Arena arena = Arena.ofShared()) {
            Random random = new Random(1);
            Tensor floats = new Tensor("w", Format.F32, out, in, arena.allocate((long) out * in * Float.BYTES, 64));
            for (long i = 0; i < (long) out * in; i++) {
                floats.data().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (random.nextGaussian() * 0.02));
            }
            float[] x = new float[Math.multiplyExact(rows, in)];
            for (int i = 0; i < x.length; i++) x[i] = (float) random.nextGaussian();
            for (Case c : CASES) run(c, machine, floats, x, arena);
        }
    }

    private void run(Case c, MachineRates machine, Tensor floats, float[] x, Arena arena) {
        Limits limits = new Limits(rows, 1, 1, 1);
        InputPolicy policy = InputPolicy.pinned(c.input);
        boolean bytes = c.input instanceof Input.I8;
        double[] got = new double[repetitions];
        double[] most = new double[repetitions];
        try (CheckedOps ops = Backends.find().open(options); Workspace room = ops.workspace(limits)) {
            Linear w = new Linear(ops.place(List.of(floats.as(c.format, arena)), policy, Set.of(Use.PRODUCT)).getFirst(), null);
            Act from = room.act(in, policy);
            Act to = room.act(out, InputPolicy.F32);
            ops.write(from, x);
            Batch batch = new Batch(limits);
            batch.clear(1);
            batch.addSequence(new int[]{1}, 1);
            for (int r = 0; r < rows; r++) batch.addRow(0, 0, false);
            for (int i = -1; i < repetitions; i++) {
                double rate = bytes ? machine.int8PerSecond() : machine.bf16PerSecond();
                long begun = System.nanoTime();
                ops.run(Step.of(0, batch), batch, () -> ops.linear(from, w, to));
                long nanos = System.nanoTime() - begun;
                // the first finds cold pages
                if (i < 0) continue;
                most[i] = rate;
                got[i] = 2e9 * rows * in * out / nanos;
            }
            System.out.printf("%-12s x %-7s %8.1f Gop/s [%.1f-%.1f], %3.0f %% of %.1f (%s)%n", c.format, c.input,
                    Streamed.median(got) / 1e9,
                    Streamed.least(got) / 1e9, Streamed.most(got) / 1e9,
                    100 * Streamed.median(got) / Streamed.median(most),
                    Streamed.median(most) / 1e9, ops.decisions().getFirst().reason());
        }
    }
}
