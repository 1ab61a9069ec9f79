package dev.lacuna.kernels.cuda;

import dev.lacuna.Checkout;
import dev.lacuna.ops.Act;
import dev.lacuna.ops.Activation;
import dev.lacuna.ops.Attention;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.Ffn;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.Logits;
import dev.lacuna.ops.Norm;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.Qkv;
import dev.lacuna.ops.Rope;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.TopK;
import dev.lacuna.ops.UnsupportedKernelException;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Values;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.IntStream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * What the kernels would cost on a real chip, argued from what the emulated device counts: runs the operations of one layer at the shapes of real models
 * and writes the table of {@code docs/cuda.md}. Products run on a part of their outputs and attention on a part of its heads; counts are multiplied,
 * which is exact, since blocks of a grid do the same work, but for inputs that all parts read: they are counted once for each launch. Run by
 * {@code benchmarks/cuda/cost}.
 */
final class CostTable {
    private static final String BEGIN = "<!-- made by benchmarks/cuda/cost: begin -->";
    private static final String END = "<!-- made by benchmarks/cuda/cost: end -->";
    private static final Format FORMAT = Format.Q4_1;
    /** Positions that a decoded token sees. */
    private static final int CONTEXT = 1024;
    private static final int PROMPT = 512;
    /** The part of attention's key heads, and of a token's products, that is run. */
    private static final int PART = 8;
    /** The part of a prompt's products. */
    private static final int PROMPT_PART = 32;
    /** Of the products of single formats. */
    private static final int SIDE = 4096;
    private static final String SINGLES = "Q4_1/I8 Q4_0/I8 Q8_0/I8 Q5_1/I8 Q4_K/I8 Q6_K/I8 I8_ROW/I8 I4_GROUP_128/I8 I8_24/I8 Q4_1/F32 F16/F32 F16/BF16";

    /** Bytes that memory gives at a time. What a launch touches of them at least once is taken to cross the memory once, as the L2 cache has it. */
    private static final double SECTOR = 32;

    private CostTable() {}

    private record Model(String name, int layers, int dim, int heads, int kvHeads, int headSize, int ffn, int vocabulary) {}

    private static final List<Model> MODELS = List.of(new Model("Llama-3.2-1B", 16, 2048, 32, 8, 64, 8192, 128256),
            new Model("Llama-3-8B", 32, 4096, 32, 8, 128, 14336, 128256));

    /** Rates of a chip by its data sheet: bytes, dense tensor operations of 8 bits, bfloat16 and tf32, and warp instructions a second. */
    private record Chip(String name, double bytes, double tensor8, double tensor16, double tensor32, double issue) {}

    private static final List<Chip> CHIPS = List.of(new Chip("H100 SXM", 3.35e12, 1979e12, 989.4e12, 494.7e12, 132 * 4 * 1.755e9),
            new Chip("RTX 4090", 1.008e12, 660.6e12, 165.2e12, 82.6e12, 128 * 4 * 2.52e9));

    /** Counts of one operation, multiplied up to the whole of a layer. */
    private static final class Cost {
        final String what;
        final String kernels;
        /** Bytes that must cross the memory at least once. */
        final double least;
        /** Times a token or prompt runs it. */
        final int times;
        double asked;
        double moved;
        double requests;
        double sectors;
        double ideal;
        double accesses;
        double conflicts;
        double instructions;
        double tensorInstructions;
        /** Multiply-adds of tensor cores: of 8 bits, bfloat16 and tf32. */
        final double[] tensor = new double[3];

        Cost(String what, String kernels, double least, int times) {
            this.what = what;
            this.kernels = kernels;
            this.least = least;
            this.times = times;
        }

        double seconds(Chip c) {
            return Math.max(Math.max(moved / c.bytes, 2 * (tensor[0] / c.tensor8 + tensor[1] / c.tensor16 + tensor[2] / c.tensor32)),
                    instructions / c.issue);
        }

        String limit(Chip c) {
            double s = seconds(c);
            return s == moved / c.bytes ? "memory" : s == instructions / c.issue ? "issue" : "tensor";
        }
    }

    private static final MethodHandle COUNTS;

    static {
        Driver.look();
        COUNTS = Linker.nativeLinker().downcallHandle(
                SymbolLookup.libraryLookup("libcuda.so.1", Arena.ofAuto()).find("lacunaEmulatorCounts").orElseThrow(),
                FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG));
    }

    /** The launches since this was last asked. */
    static List<JsonNode> counts() throws Throwable {
        try (Arena arena = Arena.ofConfined()) {
            long size = (long) COUNTS.invokeExact(MemorySegment.NULL, 0L);
            MemorySegment text = arena.allocate(size + 1);
            long _ = (long) COUNTS.invokeExact(text, size + 1);
            return text.getString(0).lines().filter(l -> !l.isBlank()).map(l -> JsonMapper.shared().readTree(l)).toList();
        }
    }

    /** One model's operands and the operations on them. */
    private static final class Bench implements AutoCloseable {
        final Model m;
        final int rows;
        final InputPolicy input;
        /** The part of a product's outputs that is run. */
        final int part;
        final Arena arena = Arena.ofShared();
        final CudaOps ops = (CudaOps) new CudaProvider().open("cuda", OpsOptions.DEFAULT);
        final Limits limits;
        final Workspace room;
        final Batch batch;
        final List<Cost> costs = new ArrayList<>();
        int program;

        Bench(Model m, int rows, InputPolicy input) throws Throwable {
            this.input = input;
            this.m = m;
            this.rows = rows;
            part = rows == 1 ? PART : PROMPT_PART;
            limits = new Limits(rows, 1, 1, CONTEXT / KvSpec.BLOCK);
            room = ops.workspace(limits);
            batch = new Batch(limits);
            batch.clear(limits.kvBlocks());
            batch.addSequence(IntStream.rangeClosed(1, limits.kvBlocks()).toArray(), limits.kvBlocks());
            int first = rows == 1 ? CONTEXT - 1 : 0;
            for (int r = 0; r < rows; r++) batch.addRow(0, first + r, r == rows - 1);
        }

        Act floats(int cols) {
            Act a = room.act(cols, InputPolicy.F32);
            float[] v = new float[rows * cols];
            Arrays.fill(v, 0.5f);
            ops.write(a, v);
            return a;
        }

        Act packed(int cols) {
            Act a = room.act(cols, input);
            float[] v = new float[rows * cols];
            Arrays.fill(v, 0.5f);
            ops.write(a, v);
            return a;
        }

        Linear weight(int outs, int cols) {
            return weight(FORMAT, input, outs, cols);
        }

        Linear weight(Format format, InputPolicy input, int outs, int cols) {
            // zeros that are packed, since a mask of zeros is none
            Tensor t = new Tensor("w", Format.F32, outs, cols, arena.allocate(Format.F32.bytes(outs, cols))).as(format, arena);
            return new Linear(ops.place(List.of(t), input, Set.of(Use.PRODUCT)).getFirst(), null);
        }

        Values values(int n) {
            return ops.values(new float[n]);
        }

        /** Bytes of a packed activation row with its scales. */
        boolean bfloats() {
            return input.manyRows().equals(Input.BF16);
        }

        double packedBytes(int cols) {
            return cols * (bfloats() ? 2 : 1.25);
        }

        /**
         * Runs an operation.
         *
         * @param least  bytes of the whole operation
         * @param part   by what its counts are multiplied
         * @param once   bytes that are the same in each of the parts, for each launch that reads them
         */
        Cost run(String what, double least, double part, int times, double once, Runnable body) throws Throwable {
            counts();
            program++;
            ops.run(new Step(program, rows, 1, 1, limits.kvBlocks()), batch, body);
            List<JsonNode> launches = counts();
            // of gate and up the product that follows has a line of its own
            long shown = launches.size() - (what.startsWith("gate") ? 1 : 0);
            Cost c = new Cost(what,
                    String.join(" + ", launches.stream().limit(shown).map(l -> l.get("kernel").asString()).distinct().toList()),
                    least, times);
            for (JsonNode l : launches) {
                JsonNode load = l.get("global_load");
                JsonNode store = l.get("global_store");
                c.asked += part * (load.get("bytes").asDouble() + store.get("bytes").asDouble());
                c.moved += part * SECTOR * (load.get("distinct_sectors").asDouble() + store.get("distinct_sectors").asDouble());
                c.requests += part * (load.get("requests").asDouble() + store.get("requests").asDouble());
                c.sectors += part * (load.get("sectors").asDouble() + store.get("sectors").asDouble());
                c.ideal += part * (load.get("ideal_sectors").asDouble() + store.get("ideal_sectors").asDouble());
                c.accesses += part * l.get("shared_wavefronts").asDouble();
                c.conflicts += part * l.get("bank_conflicts").asDouble();
                // copies from register to register are how PTX changes a type; the assembler makes nothing of them
                c.instructions += part * (l.get("instructions").asDouble() - ofClass(l, "move"));
                c.tensorInstructions += part * ofClass(l, "tensor");
                double all = l.get("dense_multiply_adds").asDouble();
                String kernel = l.get("kernel").asString();
                if (kernel.endsWith("_BF16") && kernel.startsWith("gemm")) {
                    c.tensor[1] += part * all;
                } else {
                    // an instruction of 8 bits has 4,096, one of tf32, which minima and attention take, 1,024
                    double single = (4096 * ofClass(l, "tensor") - all) / 3072;
                    c.tensor[0] += part * (all - 1024 * single);
                    c.tensor[2] += part * 1024 * single;
                }
            }
            c.moved -= (part - 1) * once;
            costs.add(c);
            System.out.printf(Locale.ROOT, "%s, %d rows: %s%n", m.name, rows, what);
            return c;
        }

        private static double ofClass(JsonNode launch, String name) {
            JsonNode n = launch.get("by_class").get(name);
            return n == null ? 0 : n.asDouble();
        }

        double weightBytes(int outs, int cols) {
            return FORMAT.bytes(outs, cols);
        }

        /** A product on a part of its outputs. */
        void product(String what, int outs, int cols, int times) throws Throwable {
            Act x = packed(cols);
            int some = outs / part / 64 * 64;
            Linear w = weight(some, cols);
            Act y = floats(some);
            run(what, weightBytes(outs, cols) + rows * (packedBytes(cols) + 4.0 * outs), outs / (double) some, times,
                    rows * packedBytes(cols), () -> ops.linear(x, w, y));
        }

        /** A product of one format. */
        void single(Format format, String input) throws Throwable {
            boolean bytes = input.equals("I8");
            InputPolicy policy = bytes ? InputPolicy.I8 : input.equals("BF16") ? InputPolicy.BF16 : InputPolicy.F32;
            double in = bytes ? packedBytes(SIDE) : input.equals("BF16") ? 2.0 * SIDE : 4.0 * SIDE;
            Linear w = weight(format, policy, SIDE / PART, SIDE);
            Act x = room.act(SIDE, policy);
            float[] values = new float[SIDE];
            Arrays.fill(values, 0.5f);
            ops.write(x, values);
            Act y = floats(SIDE / PART);
            run(format + " | " + input, format.bytes(SIDE, SIDE) + in + 4.0 * SIDE, PART, 1, in, () -> ops.linear(x, w, y));
        }

        void layer() throws Throwable {
            Act residual = floats(m.dim);
            Act delta = floats(m.dim);
            Act in = packed(m.dim);
            Norm norm = Norm.rms(values(m.dim), 1e-5f);
            run("residual + norm + pack", rows * (12.0 * m.dim + packedBytes(m.dim)) + 4.0 * m.dim, 1, 2 * m.layers, 0,
                    () -> ops.addNorm(residual, delta, null, norm, false, in));
            attention(in);
            product("attention output", m.dim, m.heads * m.headSize, m.layers);
            feedForward(in);
            product("down", m.dim, m.ffn, m.layers);
            if (rows == 1) logits(in);
        }

        private void attention(Act in) throws Throwable {
            int kv = m.kvHeads / PART;
            int heads = m.heads / PART;
            int size = m.headSize;
            Linear wq = weight(heads * size, m.dim);
            Linear wk = weight(kv * size, m.dim);
            Linear wv = weight(kv * size, m.dim);
            Act q = floats(heads * size);
            Act k = floats(kv * size);
            Act v = floats(kv * size);
            Act mixed = packed(heads * size);
            Rope rope = new Rope(values(CONTEXT * size), size, size, true);
            int outs = (m.heads + 2 * m.kvHeads) * size;
            double packing = rows * 2.0 * 2 * m.kvHeads * size;
            double table = rows * 4.0 * size;
            try (KvPool pool = ops.kv(new KvSpec(new int[]{kv}, size, KvType.F16), limits.kvBlocks() + 1)) {
                run("QKV, rotation, append", weightBytes(outs, m.dim) + rows * (packedBytes(m.dim) + 4.0 * outs) + packing + table, PART,
                        m.layers,
                        (rows == 1 ? 1 : 3) * rows * packedBytes(m.dim) + table,
                        () -> ops.qkv(in, new Qkv(wq, wk, wv), null, rope, pool, 0, q, k, v));
                Attention a = new Attention(IntStream.range(0, heads).map(h -> h * kv / heads).toArray(), size, 0.1f, 0, 0);
                double seen = rows == 1 ? CONTEXT : rows;
                double least = seen * 2 * 2 * m.kvHeads * size + rows * (4.0 * m.heads * size + packedBytes(m.heads * size));
                run("attention, F16 cache", least, PART, m.layers, 0,
                        () -> ops.attend(q, pool, 0, a, mixed));
            }
        }

        private void feedForward(Act in) throws Throwable {
            int some = m.ffn / part;
            Linear gate = weight(some, m.dim);
            Linear up = weight(some, m.dim);
            Act g = floats(some);
            Act u = floats(some);
            Act hidden = packed(some);
            Linear down = weight(64, some);
            Act little = floats(64);
            double least = 2 * weightBytes(m.ffn, m.dim) + rows * (packedBytes(m.dim) + packedBytes(m.ffn));
            Cost tail = run("", 0, part, 0, 0, () -> ops.linear(hidden, down, little));
            Cost c = run("gate, up, activation", least, part, m.layers, (rows > 1 && bfloats() ? 2 : 1) * rows * packedBytes(m.dim),
                    () -> ops.ffn(in, new Ffn.Gated(gate, up, down, Activation.SILU), g, u, hidden, little));
            // the operation ends with a product that has a line of its own
            c.asked -= tail.asked;
            c.moved -= tail.moved;
            c.requests -= tail.requests;
            c.sectors -= tail.sectors;
            c.ideal -= tail.ideal;
            c.accesses -= tail.accesses;
            c.conflicts -= tail.conflicts;
            c.instructions -= tail.instructions;
            c.tensorInstructions -= tail.tensorInstructions;
            for (int i = 0; i < c.tensor.length; i++) c.tensor[i] -= tail.tensor[i];
            costs.remove(tail);
        }

        private void logits(Act in) throws Throwable {
            int part = 16 * PART;
            Linear w = weight(m.vocabulary / part, m.dim);
            Logits l = room.logits(m.vocabulary / part);
            run("logits", weightBytes(m.vocabulary, m.dim) + packedBytes(m.dim) + 4.0 * m.vocabulary, part, 1,
                    packedBytes(m.dim), () -> ops.logits(in, w, 0, l));
            TopK best = room.topK(1);
            run("best token", 4.0 * m.vocabulary, part, 1, 0, () -> {
                ops.logits(in, w, 0, l);
                ops.topK(l, 1, best);
            });
            costs.removeLast();
        }

        @Override
        public void close() {
            room.close();
            ops.close();
            arena.close();
        }
    }

    private static String table(List<Cost> costs, String title) {
        StringBuilder out = new StringBuilder(
                "\n**" + title + "**\n\n| operation | kernels | bytes: least, MB | moved / least | asked / least"
                        + " | sectors / ideal | bank conflicts | tensor share |");
        for (Chip c : CHIPS) out.append(" ").append(c.name).append(", µs |");
        out.append("\n| --- | --- | --- | --- | --- | --- | --- | --- |").append(" --- |".repeat(CHIPS.size())).append("\n");
        double[] total = new double[CHIPS.size()];
        double least = 0;
        double moved = 0;
        for (Cost c : costs) {
            out.append(String.format(Locale.ROOT, "| %s | `%s` | %.3f x %d | %.3f | %.2f | %.3f | %.1f %% | %.0f %% |", c.what, c.kernels,
                    c.least / 1e6, c.times, c.moved / c.least, c.asked / c.least, c.sectors / Math.max(1, c.ideal),
                    100 * c.conflicts / Math.max(1, c.accesses), 100 * c.tensorInstructions / c.instructions));
            for (int i = 0; i < total.length; i++) {
                Chip chip = CHIPS.get(i);
                out.append(String.format(Locale.ROOT, " %.1f (%s) |", 1e6 * c.seconds(chip), c.limit(chip)));
                total[i] += c.times * c.seconds(chip);
            }
            out.append("\n");
            least += c.times * c.least;
            moved += c.times * c.moved;
        }
        out.append(String.format(Locale.ROOT, "| **all layers** | | **%.0f** | **%.3f** | | | | |", least / 1e6, moved / least));
        for (double t : total) out.append(String.format(Locale.ROOT, " **%.2f ms** |", 1e3 * t));
        return out.append("\n").toString();
    }

    /** One product of each format and input, of which the backend takes those that it has. */
    private static String singles(String[] list) throws Throwable {
        StringBuilder out = new StringBuilder(String.format(Locale.ROOT,
                "\n**%d x %d times one row, by format and input (estimate, never measured)**\n\n| format | input | kernel | bytes: least, MB "
                        + "| moved / least | asked / least | sectors / ideal | bank conflicts | instructions for 1000 weights |",
                SIDE, SIDE));
        for (Chip c : CHIPS) out.append(" ").append(c.name).append(", µs |");
        out.append("\n|").append(" --- |".repeat(9 + CHIPS.size())).append("\n");
        for (String s : list) {
            String[] of = s.split("/");
            Format format = Format.ALL.stream().filter(f -> f.toString().equals(of[0])).findFirst()
                    .orElseThrow(() -> new IllegalArgumentException(of[0] + " is no format"));
            try (Bench b = new Bench(MODELS.getFirst(), 1, InputPolicy.I8)) {
                try {
                    b.single(format, of[1]);
                } catch (UnsupportedKernelException e) {
                    System.out.println(s + ": " + e.getMessage());
                    continue;
                }
                Cost c = b.costs.getFirst();
                out.append(String.format(Locale.ROOT, "| %s | `%s` | %.3f | %.3f | %.2f | %.3f | %.1f %% | %.1f |", c.what, c.kernels,
                        c.least / 1e6, c.moved / c.least, c.asked / c.least, c.sectors / c.ideal,
                        100 * c.conflicts / Math.max(1, c.accesses), 1000 * c.instructions / SIDE / SIDE));
                for (Chip chip : CHIPS) out.append(String.format(Locale.ROOT, " %.1f (%s) |", 1e6 * c.seconds(chip), c.limit(chip)));
                out.append("\n");
            }
        }
        return out.toString();
    }

    private static void layer(StringBuilder tables, Model m, int rows, InputPolicy input, String what) throws Throwable {
        try (Bench b = new Bench(m, rows, input)) {
            b.layer();
            tables.append(table(b.costs, m.name + ", " + what + " (estimate, never measured)"));
        }
    }

    /** Arguments: pairs FORMAT/INPUT for the table of formats. */
    public static void main(String[] args) throws Throwable {
        StringBuilder tables = new StringBuilder(singles(args.length > 0 ? args : SINGLES.split(" ")));
        for (Model m : MODELS) {
            layer(tables, m, 1, InputPolicy.I8, "one token after " + CONTEXT);
            layer(tables, m, PROMPT, InputPolicy.BF16, "a prompt of " + PROMPT + " tokens, inputs in bfloat16 as by default on H100");
            layer(tables, m, PROMPT, InputPolicy.I8, "a prompt of " + PROMPT + " tokens, inputs in 8 bits as by default on RTX 4090");
        }
        Path page = Checkout.root().resolve("docs/cuda.md");
        String text = Files.readString(page);
        int from = text.indexOf(BEGIN) + BEGIN.length();
        Files.writeString(page, text.substring(0, from) + "\n" + tables + "\n" + text.substring(text.indexOf(END)));
    }
}
