package dev.lacuna.benchmarks;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.MachineRates;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * One row by a matrix, as in decoding: bytes of weights a second, and the share of what the same threads read of a buffer of 1 GiB just before. Formats
 * are measured in turns, each going round copies that no cache holds, so that they can be compared with the first of them.
 */
public final class MatVec {
    private final List<Format> formats;
    private final Input input;
    private final int in;
    private final int out;
    private final int stream;
    private final int repetitions;
    private final OpsOptions options;

    private MatVec(Arguments given) {
        formats = given.formats("I8_ROW,I8_24,I8_BITMASK,I4_GROUP_128,I4_24_128");
        input = given.input("i8");
        in = given.number("--in", 4096, 1);
        out = given.number("--out", 11008, 1);
        stream = given.number("--stream", 1536, 1);
        repetitions = given.number("--repetitions", 11, 1);
        options = given.kernels();
        given.done();
    }

    /** A matrix in one format, and what it took. */
    private static final class Case {
        final Tensor packed;
        final List<Linear> weights = new ArrayList<>();
        final Act x;
        final double[] got;
        final double[] share;

        Case(Tensor packed, Act x, int repetitions) {
            this.packed = packed;
            this.x = x;
            got = new double[repetitions];
            share = new double[repetitions];
        }

        double perSecond() {
            return Streamed.median(got) / packed.data().byteSize();
        }
    }

    /** Runs every format and prints a line for each. */
    public static void main(String[] args) {
        new MatVec(new Arguments(args)).run();
    }

    private void run() {
        System.out.printf("1 row, %d inputs, %d outputs, %d threads, %s%n", in, out, options.threadsOrAll(),
                Backends.find().chosen(options).name());
        // Java kernels cannot tell what the machine gives
        MachineRates machine = Backends.find().rates(new OpsOptions(options.threads(), "native", null, true));
        if (machine == null) throw new IllegalStateException("the C kernels, which tell the machine's rate, do not run here");
        Random random = new Random(1);
        Tensor floats = Streamed.matrix(random, out, in);
        float[] row = Streamed.gaussian(random, in, 1);
        try (machine; CheckedOps ops = Backends.find().open(options); Workspace room = ops.workspace(Streamed.LIMITS)) {
            Batch batch = Streamed.batch();
            List<Case> cases = new ArrayList<>();
            for (Format f : formats) {
                Tensor packed = floats.as(f, Streamed.HEAP);
                InputPolicy policy = InputPolicy.pinned(input).fit(List.of(packed));
                Case c = new Case(packed, room.act(in, policy), repetitions);
                ops.write(c.x, row);
                int copies = Streamed.copies(stream, packed.data().byteSize(), formats.size());
                for (int i = 0; i < copies; i++) c.weights.add(Streamed.place(ops, packed, policy, Use.PRODUCT));
                cases.add(c);
            }
            Act y = room.act(out, InputPolicy.F32);
            // the first warm up
            for (int i = -3; i < repetitions; i++) {
                for (Case c : cases) pass(c, i, machine, ops, batch, y);
            }
            for (Case c : cases) print(c, cases.getFirst());
        }
    }

    private static void pass(Case c, int i, MachineRates machine, CheckedOps ops, Batch batch, Act y) {
        double rate = machine.bytesPerSecond(MachineRates.LARGE);
        long begun = System.nanoTime();
        for (Linear w : c.weights) ops.run(Step.of(0, batch), batch, () -> ops.linear(c.x, w, y));
        long nanos = System.nanoTime() - begun;
        if (i < 0) return;
        c.got[i] = 1e9 * c.weights.size() * c.packed.data().byteSize() / nanos;
        c.share[i] = c.got[i] / rate;
    }

    private static void print(Case c, Case first) {
        System.out.printf("%-14s %6.2f GB/s [%.2f-%.2f], %3.0f %% of the read rate [%.0f-%.0f], %7.1f products/s, %.2f of %s%n",
                c.packed.format(), Streamed.median(c.got) / 1e9, Streamed.least(c.got) / 1e9, Streamed.most(c.got) / 1e9,
                100 * Streamed.median(c.share), 100 * Streamed.least(c.share), 100 * Streamed.most(c.share), c.perSecond(),
                c.perSecond() / first.perSecond(), first.packed.format());
    }
}
