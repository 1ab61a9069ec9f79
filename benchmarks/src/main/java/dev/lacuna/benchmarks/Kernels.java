package dev.lacuna.benchmarks;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Attention;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.Norm;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** One operation at a time, on a batch of one sequence; a step a call, with all that a step costs. */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 1, jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "--add-modules=jdk.incubator.vector"})
public class Kernels {
    /** What a call did, so that rates stand beside it: bytes of weights or cache a second, and operations, two for each multiply-add. */
    @AuxCounters(AuxCounters.Type.OPERATIONS)
    @State(Scope.Thread)
    public static class Rates {
        /** Bytes of weights, or of keys and values. */
        public long bytes;
        /** Two for each multiply-add. */
        public long operations;

        /** JMH would leave them as they are between iterations. */
        @Setup(Level.Iteration)
        public void clear() {
            bytes = 0;
            operations = 0;
        }
    }

    /** Kernels, and a batch of rows at the end of a sequence. */
    @State(Scope.Benchmark)
    @SuppressWarnings({"NullAway.Init", "MustBeClosedChecker"}) // JMH calls set-up and tear-down
    public static class Opened {
        /** Tier; auto: the fastest that runs here. */
        @Param("auto")
        public String kernels = "auto";
        /** Cap of the C kernels; auto: none. */
        @Param("auto")
        public String isa = "auto";
        /** Threads of the team; 0: one for each processor. */
        @Param("0")
        public int threads;
        /** Rows of the step: decoding, several sequences, a prompt. */
        @Param({"1", "8", "512"})
        public int rows;
        /** Tokens in the cache before. */
        @Param("0")
        public int depth;

        final Random random = new Random(1);
        CheckedOps ops;
        Batch batch;
        Workspace room;
        Arena arena;

        /** Opens the kernels. */
        @Setup
        public void open() {
            arena = Arena.ofShared();
            ops = Backends.find()
                    .open(new OpsOptions(threads, kernels.equals("auto") ? null : kernels, isa.equals("auto") ? null : isa, true));
            int blocks = KvSpec.blocksFor(depth + rows);
            Limits limits = new Limits(rows, 1, 1, blocks);
            room = ops.workspace(limits);
            batch = new Batch(limits);
            batch.clear(blocks);
            int[] table = new int[blocks];
            Arrays.setAll(table, i -> i + 1);
            batch.addSequence(table, blocks);
            for (int r = 0; r < rows; r++) batch.addRow(0, depth + r, false);
        }

        float[] gaussian(int n) {
            float[] v = new float[n];
            for (int i = 0; i < n; i++) v[i] = (float) random.nextGaussian();
            return v;
        }

        Act act(int cols, InputPolicy policy) {
            Act act = room.act(cols, policy);
            ops.write(act, gaussian(Math.multiplyExact(rows, cols)));
            return act;
        }

        void run(int program, Runnable body) {
            ops.run(Step.of(program, batch), batch, body);
        }

        /** Frees everything; JMH closes what depends on it before. */
        @TearDown
        public void close() {
            room.close();
            ops.close();
            arena.close();
        }
    }

    /** A matrix in each format, in as many copies as no cache holds. */
    @State(Scope.Benchmark)
    @SuppressWarnings("NullAway.Init") // JMH calls set-up and tear-down
    public static class Product {
        /** Packing of the weights. */
        @Param({"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "I8_ROW", "I4_GROUP_32",
                "I4_GROUP_128", "I8_24", "I4_24_64", "I4_24_128", "I8_BITMASK", "I4_BITMASK_64", "I4_BITMASK_128"})
        public String format = "Q4_0";
        /** Inputs: f32, bf16, or for packed formats i8, i8/64, i8/128, i8/row. */
        @Param("i8")
        public String input = "i8";
        /** Outputs. */
        @Param("8192")
        public int out;
        /** Inputs. */
        @Param("2048")
        public int in;
        /** Megabytes of distinct copies that calls go round; 0: one copy. */
        @Param("512")
        public int stream;

        private final List<Linear> weights = new ArrayList<>();
        private long bytes;
        private int next;
        private Act x;
        private Act y;

        /** Makes one matrix, and places it often. */
        @Setup
        public void place(Opened o) {
            Format to = Format.named(format)
                    .orElseThrow(() -> new IllegalArgumentException("formats are " + Format.ALL + ", not " + format));
            Tensor floats = new Tensor("w", Format.F32, out, in, o.arena.allocate((long) out * in * Float.BYTES, 64));
            for (long i = 0; i < (long) out * in; i++) {
                floats.data().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (o.random.nextGaussian() * 0.02));
            }
            Tensor packed = floats.as(to, o.arena);
            InputPolicy policy = InputPolicy.pinned(Arguments.named(input)).fit(List.of(packed));
            bytes = packed.data().byteSize();
            long copies = Math.max(1, (((long) stream << 20) + bytes - 1) / bytes);
            weights.clear();
            for (long c = 0; c < copies; c++) {
                // a tensor of its own, since Java kernels read where it lies
                Tensor copy = new Tensor("w" + c, to, out, in, o.arena.allocate(bytes, 64).copyFrom(packed.data()));
                weights.add(new Linear(o.ops.place(List.of(copy), policy, Set.of(Use.PRODUCT)).getFirst(), null));
            }
            x = o.act(in, policy);
            y = o.room.act(out, InputPolicy.F32);
        }
    }

    /** {@code y = x . w^T}. */
    @Benchmark
    public void product(Opened o, Product p, Rates rates) {
        Linear w = p.weights.get(p.next);
        p.next = (p.next + 1) % p.weights.size();
        o.run(p.next, () -> o.ops.linear(p.x, w, p.y));
        rates.bytes += p.bytes;
        rates.operations += 2L * o.rows * p.in * p.out;
    }

    /** Heads that share keys and values, over a cache of one layer. */
    @State(Scope.Benchmark)
    @SuppressWarnings("NullAway.Init") // JMH calls set-up and tear-down
    public static class Heads {
        /** Packing of the cache. */
        @Param({"F32", "F16", "I8"})
        public KvType kv = KvType.F16;
        /** Query heads. */
        @Param("32")
        public int heads;
        /** Key/value heads. */
        @Param("8")
        public int kvHeads;
        /** Values of a head. */
        @Param("64")
        public int headSize;

        private KvPool pool;
        private Attention attention;
        private Act q;
        private Act mixed;
        private long bytes;
        private long operations;

        /** Makes a cache of zeros, which cost what others cost. */
        @Setup
        public void make(Opened o) {
            pool = o.ops.kv(new KvSpec(new int[]{kvHeads}, headSize, kv), o.batch.kvBlocks() + 1);
            int[] kvOf = new int[heads];
            Arrays.setAll(kvOf, h -> h / (heads / kvHeads));
            attention = new Attention(kvOf, headSize, (float) (1 / Math.sqrt(headSize)), 0, 0);
            q = o.act(heads * headSize, InputPolicy.F32);
            mixed = o.room.act(heads * headSize, InputPolicy.I8);
            long seen = 0;
            for (int r = 0; r < o.rows; r++) seen += o.depth + r + 1;
            bytes = 2L * (o.depth + o.rows) * kvHeads * kv.headBytes(headSize);
            operations = 4 * seen * heads * headSize;
        }

        /** Frees the cache before the kernels. */
        @TearDown
        public void close() {
            pool.close();
        }
    }

    /** Softmax attention of each row over all before it. */
    @Benchmark
    public void attention(Opened o, Heads h, Rates rates) {
        o.run(1, () -> o.ops.attend(h.q, h.pool, 0, h.attention, h.mixed));
        rates.bytes += h.bytes;
        rates.operations += h.operations;
    }

    /** A residual stream. */
    @State(Scope.Benchmark)
    @SuppressWarnings("NullAway.Init") // JMH calls set-up and tear-down
    public static class Stream {
        /** Its width. */
        @Param("2048")
        public int dim;

        private Act residual;
        private Act delta;
        private Act packed;
        private Norm norm;

        /** Makes the operands. */
        @Setup
        public void make(Opened o) {
            residual = o.act(dim, InputPolicy.F32);
            float[] zeros = new float[Math.multiplyExact(o.rows, dim)];
            delta = o.room.act(dim, InputPolicy.F32);
            o.ops.write(delta, zeros);
            packed = o.room.act(dim, InputPolicy.I8);
            norm = Norm.rms(o.ops.values(o.gaussian(dim)), 1e-5f);
        }
    }

    /** Adds, norms and packs. */
    @Benchmark
    public void norm(Opened o, Stream s, Rates rates) {
        o.run(1, () -> o.ops.addNorm(s.residual, s.delta, null, s.norm, false, s.packed));
        rates.bytes += 4L * o.rows * s.dim * Float.BYTES;
        rates.operations += 4L * o.rows * s.dim;
    }
}
