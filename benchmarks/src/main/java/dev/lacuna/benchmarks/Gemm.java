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
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Matrix products of many rows alone: operations a second, median of repetitions, and the share of the machine's own rate of the same operations, which
 * is measured before each repetition, since other guests of a host change what there is from minute to minute.
 */
public final class Gemm {
    private record Case(Format format, Input input) {}

    private static final List<Case> CASES = List.of(new Case(Format.I8_ROW, new Input.I8(0)), new Case(Format.I8_ROW, new Input.I8(128)),
            new Case(Format.I8_ROW, new Input.I8(64)), new Case(Format.I8_ROW, Input.I8), new Case(Format.Q8_0, Input.I8),
            new Case(Format.Q4_0, Input.I8), new Case(Format.Q4_1, Input.I8), new Case(Format.i4Group(128), new Input.I8(128)),
            new Case(Format.BF16, Input.BF16), new Case(Format.F16, Input.BF16), new Case(Format.Q4_0, Input.BF16));

    private final int rows;
    private final int in;
    private final int out;
    private final int repetitions;
    private final OpsOptions options;

    private Gemm(Map<String, String> given) {
        rows = number(given, "--rows", 512);
        in = number(given, "--in", 2048);
        out = number(given, "--out", 8192);
        repetitions = number(given, "--repetitions", 9);
        options = new OpsOptions(number(given, "--threads", 0), "native", given.remove("--isa"), true);
        if (!given.isEmpty()) throw new IllegalArgumentException("there is no option " + given.keySet());
    }

    private static int number(Map<String, String> given, String name, int otherwise) {
        @Nullable
        String v = given.remove(name);
        return v == null ? otherwise : Integer.parseInt(v);
    }

    /** Runs every case and prints a line for each. */
    public static void main(String[] args) {
        if (args.length % 2 != 0) throw new IllegalArgumentException("options come with a value: " + Arrays.toString(args));
        Map<String, String> given = new HashMap<>();
        for (int i = 0; i < args.length; i += 2) given.put(args[i], args[i + 1]);
        new Gemm(given).run();
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
            System.out.printf("%-12s x %-7s %8.1f Gop/s [%.1f-%.1f], %3.0f %% of %.1f (%s)%n", c.format, c.input, median(got) / 1e9,
                    Arrays.stream(got).min().orElseThrow() / 1e9, Arrays.stream(got).max().orElseThrow() / 1e9,
                    100 * median(got) / median(most),
                    median(most) / 1e9, ops.decisions().getFirst().reason());
        }
    }

    private static double median(double[] v) {
        double[] sorted = v.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }
}
