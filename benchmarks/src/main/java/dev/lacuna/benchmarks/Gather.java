package dev.lacuna.benchmarks;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Activation;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.Ffn;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.RowSet;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * A gated feed-forward block on the neurons that were chosen, and dense: what part of the dense time is left. Calls of both alternate, so that a slow
 * moment meets both and the dense block empties the caches for the other. Both go round copies that no cache holds; which neurons run changes from call to
 * call, so that one copy's rows are not met again soon.
 */
public final class Gather {
    private static final int SETS = 32;

    private final List<Format> formats;
    private final int dim;
    private final int width;
    private final int active;
    private final int stream;
    private final int repetitions;
    private final OpsOptions options;

    private Gather(Arguments given) {
        formats = given.formats("F16,BF16,I8_ROW,Q8_0,Q4_0,I4_GROUP_128");
        dim = given.number("--dim", 4096, 1);
        width = given.number("--width", 11008, 1);
        active = given.number("--active", 10, 1);
        stream = given.number("--stream", 1536, 1);
        repetitions = given.number("--repetitions", 9, 1);
        options = given.kernels();
        given.done();
    }

    /** Runs every format and prints a line for each. */
    public static void main(String[] args) {
        new Gather(new Arguments(args)).run();
    }

    private void run() {
        System.out.printf("gated feed-forward block of %d x %d, %d %% of the neurons, 1 row, %d threads, %s%n", dim, width, active,
                options.threadsOrAll(), Backends.find().chosen(options).name());
        Random random = new Random(1);
        Tensor wide = Streamed.matrix(random, width, dim);
        Tensor down = Streamed.matrix(random, dim, width);
        for (Format f : formats) run(f, wide, down, random);
    }

    private void run(Format f, Tensor floats, Tensor down, Random random) {
        Tensor wide = floats.as(f, Streamed.HEAP);
        Tensor narrow = down.as(f, Streamed.HEAP);
        InputPolicy policy = InputPolicy.I8.fit(List.of(wide));
        long bytes = 2 * wide.data().byteSize() + narrow.data().byteSize();
        int copies = Streamed.copies(stream, bytes, 2);
        try (CheckedOps ops = Backends.find().open(options); Workspace room = ops.workspace(Streamed.LIMITS)) {
            List<Ffn> dense = new ArrayList<>();
            List<Ffn> gathered = new ArrayList<>();
            for (int c = 0; c < copies; c++) {
                dense.add(new Ffn.Gated(Streamed.place(ops, wide, policy, Use.PRODUCT), Streamed.place(ops, wide, policy, Use.PRODUCT),
                        Streamed.place(ops, narrow, policy, Use.PRODUCT), Activation.SILU));
                gathered.add(new Ffn.Gated(Streamed.place(ops, wide, policy, Use.ROWS), Streamed.place(ops, wide, policy, Use.ROWS),
                        Streamed.place(ops, wide, InputPolicy.F32, Use.COLUMNS), Activation.SILU));
            }
            List<RowSet> sets = new ArrayList<>();
            for (int s = 0; s < SETS; s++) {
                RowSet set = room.rowSet(width);
                ops.write(set, chosen(random));
                sets.add(set);
            }
            Act x = room.act(dim, policy);
            ops.write(x, Streamed.gaussian(random, dim, 1));
            Act gate = room.act(width, InputPolicy.F32);
            Act up = room.act(width, InputPolicy.F32);
            Act hidden = room.act(width, policy);
            Act some = room.act(width, InputPolicy.F32);
            Act delta = room.act(dim, InputPolicy.F32);
            Batch batch = Streamed.batch();
            double[] all = new double[repetitions * copies];
            double[] few = new double[repetitions * copies];
            // the first two rounds warm up
            for (int i = -2 * copies; i < all.length; i++) {
                int c = Math.floorMod(i, copies);
                RowSet set = sets.get(random.nextInt(SETS));
                double a = milliseconds(ops, batch, () -> ops.ffn(x, dense.get(c), gate, up, hidden, delta));
                double b = milliseconds(ops, batch, () -> ops.ffn(x, gathered.get(c), set, gate, up, some, delta));
                if (i < 0) continue;
                all[i] = a;
                few[i] = b;
            }
            print(f, policy, bytes, all, few);
        }
    }

    /** Ascending. */
    private int[] chosen(Random random) {
        int[] neurons = IntStream.range(0, width).toArray();
        int n = Math.max(1, (int) ((long) width * active / 100));
        for (int i = 0; i < n; i++) {
            int k = i + random.nextInt(width - i);
            int swapped = neurons[i];
            neurons[i] = neurons[k];
            neurons[k] = swapped;
        }
        return IntStream.of(neurons).limit(n).sorted().toArray();
    }

    private static double milliseconds(CheckedOps ops, Batch batch, Runnable body) {
        long begun = System.nanoTime();
        ops.run(Step.of(0, batch), batch, body);
        return (System.nanoTime() - begun) / 1e6;
    }

    private void print(Format f, InputPolicy policy, long bytes, double[] all, double[] few) {
        double dense = Streamed.median(all), gathered = Streamed.median(few);
        System.out.printf("%-14s x %-4s dense %7.3f ms [%.3f-%.3f] %5.1f GB/s, chosen %7.3f ms [%.3f-%.3f] %5.1f GB/s: %4.1f %%%n", f,
                policy.fewRows(), dense, Streamed.least(all), Streamed.most(all), bytes / dense / 1e6, gathered, Streamed.least(few),
                Streamed.most(few), bytes * active / 100.0 / gathered / 1e6, 100 * gathered / dense);
    }
}
