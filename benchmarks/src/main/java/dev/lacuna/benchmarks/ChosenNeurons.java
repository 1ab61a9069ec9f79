package dev.lacuna.benchmarks;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Activation;
import dev.lacuna.ops.Ffn;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.RowSet;
import dev.lacuna.ops.Use;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** A gated feed-forward block, dense and on the neurons that were chosen: what part of the dense time is left. */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 1, jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "--add-modules=jdk.incubator.vector"})
public class ChosenNeurons {
    /** Blocks in as many copies as no cache holds, dense or with rows that lie one by one. */
    @State(Scope.Benchmark)
    @SuppressWarnings("NullAway.Init") // JMH calls set-up and tear-down
    public static class Block {
        /** Packing of the weights. */
        @Param({"F16", "BF16", "I8_ROW", "Q8_0", "Q4_0", "I4_GROUP_32", "I4_GROUP_128"})
        public String format = "F16";
        /** Columns of the block's input and output. */
        @Param("4096")
        public int dim;
        /** Neurons. */
        @Param("11008")
        public int width;
        /** Percent of the neurons that run; 100: the dense block. */
        @Param({"100", "10"})
        public int active;
        /** Megabytes of distinct copies that calls go round. */
        @Param("1536")
        public int stream;

        private final List<Ffn> blocks = new ArrayList<>();
        private final List<RowSet> sets = new ArrayList<>();
        private long bytes;
        private int next;
        private Act x;
        private Act gate;
        private Act up;
        private Act hidden;
        private Act delta;

        /** Makes one block, and places it often; each copy has its own neurons. */
        @Setup
        public void place(Kernels.Opened o) {
            Format to = Format.named(format)
                    .orElseThrow(() -> new IllegalArgumentException("formats are " + Format.ALL + ", not " + format));
            boolean dense = active == 100;
            Tensor wide = random(o, to, width, dim);
            Tensor down = dense ? random(o, to, dim, width) : wide;
            InputPolicy policy = InputPolicy.I8.fit(List.of(wide));
            InputPolicy inner = dense ? policy : InputPolicy.F32;
            long copy = 2 * wide.data().byteSize() + down.data().byteSize();
            bytes = copy * active / 100;
            blocks.clear();
            sets.clear();
            for (long c = 0; c < Math.max(1, (((long) stream << 20) + copy - 1) / copy); c++) {
                blocks.add(new Ffn.Gated(linear(o, wide, policy, dense ? Use.PRODUCT : Use.ROWS),
                        linear(o, wide, policy, dense ? Use.PRODUCT : Use.ROWS),
                        linear(o, down, inner, dense ? Use.PRODUCT : Use.COLUMNS), Activation.SILU));
                if (dense) continue;
                RowSet set = o.room.rowSet(width);
                o.ops.write(set, IntStream.range(0, width).filter(j -> o.random.nextInt(100) < active).toArray());
                sets.add(set);
            }
            x = o.act(dim, policy);
            gate = o.room.act(width, InputPolicy.F32);
            up = o.room.act(width, InputPolicy.F32);
            hidden = o.room.act(width, inner);
            delta = o.room.act(dim, InputPolicy.F32);
        }

        private static Tensor random(Kernels.Opened o, Format to, int rows, int cols) {
            Tensor floats = new Tensor("w", Format.F32, rows, cols, o.arena.allocate((long) rows * cols * Float.BYTES, 64));
            for (long i = 0; i < (long) rows * cols; i++) {
                floats.data().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (o.random.nextGaussian() * 0.02));
            }
            return floats.as(to, o.arena);
        }

        /** A tensor of its own, since Java kernels read where it lies. */
        private static Linear linear(Kernels.Opened o, Tensor t, InputPolicy policy, Use use) {
            Tensor copy = new Tensor(t.name(), t.format(), t.rows(), t.cols(),
                    o.arena.allocate(t.data().byteSize(), 64).copyFrom(t.data()));
            return new Linear(o.ops.place(List.of(copy), policy, Set.of(use)).getFirst(), null);
        }
    }

    /** {@code down(f(gate(x)) * up(x))}. */
    @Benchmark
    public void feedForward(Kernels.Opened o, Block b, Kernels.Rates rates) {
        int i = b.next;
        b.next = (b.next + 1) % b.blocks.size();
        if (b.sets.isEmpty()) o.run(i, () -> o.ops.ffn(b.x, b.blocks.get(i), b.gate, b.up, b.hidden, b.delta));
        else
            o.run(i, () -> o.ops.ffn(b.x, b.blocks.get(i), b.sets.get(i), b.gate, b.up, b.hidden, b.delta));
        rates.bytes += b.bytes;
        rates.operations += 6L * o.rows * b.dim * b.width * b.active / 100;
    }
}
