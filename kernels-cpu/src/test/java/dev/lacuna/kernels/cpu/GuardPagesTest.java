package dev.lacuna.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Activation;
import dev.lacuna.ops.Attention;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.Embedding;
import dev.lacuna.ops.Ffn;
import dev.lacuna.ops.HeadNorm;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.Logits;
import dev.lacuna.ops.Norm;
import dev.lacuna.ops.Ops;
import dev.lacuna.ops.Qkv;
import dev.lacuna.ops.Rope;
import dev.lacuna.ops.RowSet;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.TopK;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Values;
import dev.lacuna.ops.Weight;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Codec;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Random blocks of a decoder, of random shapes, formats and batches, on operands that lie between pages that nobody may touch. A kernel that reads or
 * writes a byte too far ends the process. {@code -Dlacuna.test.guarded} is how many operations are played, {@code lacuna.test.seed} repeats a run.
 */
class GuardPagesTest {
    private static final long SEED = Long.getLong("lacuna.test.seed", System.nanoTime());
    private static final int OPERATIONS = Integer.getInteger("lacuna.test.guarded", 20_000);

    private static final SegmentAllocator HEAP = (bytes, align) -> MemorySegment.ofArray(new long[Math.toIntExact((bytes + 7) / 8)])
            .asSlice(0, bytes);

    private final SplittableRandom random = new SplittableRandom(SEED);
    private Ops ops;
    private Workspace room;
    private int calls;

    @ParameterizedTest
    @ValueSource(strings = {"avx2", "avx512", "avx512bf16", "amx"})
    void nothingIsTouchedBesideItsOperands(String isa) {
        NativeLibrary library = TestedLibraries.of(isa);
        System.out.println("guard pages: repeat with -Dlacuna.test.seed=" + SEED);
        int wanted = OPERATIONS / library.isas().size();
        for (int n = 0; calls < wanted; n++) {
            try (Ops opened = new NativeOps(library, library.kernels(isa), Team.of(1 + n % 2), new GuardedMemory(n % 3 > 0))) {
                ops = opened;
                block();
            }
        }
        assertTrue(calls >= wanted);
    }

    private int size() {
        int[] odd = {1, 26, 31, 33, 64, 96, 172, 312};
        return random.nextInt(3) == 0 ? 1 + random.nextInt(320) : odd[random.nextInt(odd.length)];
    }

    private Input input() {
        List<Input> all = List.of(Input.F32, Input.BF16, Input.I8, Input.I8, new Input.I8(64), new Input.I8(128), new Input.I8(0));
        return all.get(random.nextInt(all.size()));
    }

    private static InputPolicy withoutBytes(InputPolicy p) {
        return new InputPolicy(p.fewRows().takesFloats() ? p.fewRows() : Input.F32, p.manyRows().takesFloats() ? p.manyRows() : Input.F32);
    }

    private float[] gaussian(int n) {
        float[] v = new float[n];
        for (int i = 0; i < n; i++) v[i] = (float) random.nextGaussian();
        return v;
    }

    private Weight weight(Format format, int rows, int cols, InputPolicy policy, Use... uses) {
        MemorySegment bytes = MemorySegment.ofArray(new byte[Math.toIntExact(Format.F32.bytes(rows, cols))]);
        Codec.of(Format.F32).encode(gaussian(rows * cols), 0, rows * cols, bytes, 0);
        Tensor floats = new Tensor("w", Format.F32, rows, cols, bytes);
        Tensor packed = format.variable() ? floats.as(format, random.nextInt(5) / 4.0, HEAP) : floats.as(format, HEAP);
        return ops.place(List.of(packed), policy, EnumSet.copyOf(List.of(uses))).getFirst();
    }

    private Linear linear(Format format, int rows, int cols, InputPolicy policy) {
        return new Linear(weight(format, rows, cols, policy, Use.PRODUCT), random.nextBoolean() ? ops.values(gaussian(rows)) : null);
    }

    private Values gains(int n) {
        return ops.values(gaussian(n));
    }

    private void block() {
        Format format = Format.ALL.get(random.nextInt(Format.ALL.size()));
        int dim = format.group() == 1 || format.pads() ? size() : format.group() * (1 + random.nextInt(format.group() == 256 ? 2 : 5));
        int width = format.group() == 1 || format.pads() ? size() : format.group() * (1 + random.nextInt(format.group() == 256 ? 2 : 5));
        InputPolicy any = new InputPolicy(input(), input());
        boolean floats = format.kind() == Format.Kind.FLOAT;
        InputPolicy policy = floats ? withoutBytes(any) : any;
        boolean packs = !policy.equals(InputPolicy.F32);
        int heads = 1 + random.nextInt(6);
        int kvHeads = 1 + random.nextInt(heads);
        int size = List.of(2, 26, 32, 64, 80, 128).get(random.nextInt(6));
        int vocabulary = size();
        int seqs = 1 + random.nextInt(3);
        Limits limits = new Limits(8 + random.nextInt(60), seqs, 3, 4);
        // what reads the mixed heads has columns of its own format
        Format output = format.group() == 1 || format.pads() || heads * size % format.group() == 0 ? format : Format.F16;
        InputPolicy mixedPolicy = output.kind() == Format.Kind.FLOAT ? withoutBytes(policy) : policy;
        KvType type = KvType.values()[random.nextInt(3)];
        try (KvPool kv = ops.kv(new KvSpec(new int[]{kvHeads}, size, type), 1 + seqs * 4)) {
            room = ops.workspace(limits);
            Weight table = weight(format, vocabulary, dim, policy, Use.EMBED, Use.PRODUCT);
            Qkv qkv = new Qkv(linear(format, heads * size, dim, policy), linear(format, kvHeads * size, dim, policy),
                    linear(format, kvHeads * size, dim, policy));
            Linear back = linear(output, dim, heads * size, mixedPolicy);
            Activation f = Activation.values()[random.nextInt(4)];
            Linear down = linear(format, dim, width, policy);
            Ffn ffn = random.nextBoolean()
                    ? new Ffn.Gated(linear(format, width, dim, policy), linear(format, width, dim, policy), down, f)
                    : new Ffn.Plain(linear(format, width, dim, policy), down, f);
            Norm norm = new Norm(Norm.Kind.values()[random.nextInt(2)], gains(dim), random.nextBoolean() ? gains(dim) : null, 1e-5f);
            HeadNorm headNorm = random.nextBoolean() ? new HeadNorm(gains(size), gains(size), 1e-6f) : null;
            Rope rope = new Rope(ops.values(gaussian(128 * size)), size, size, random.nextBoolean());
            int[] kvOf = IntStream.range(0, heads).map(h -> h * kvHeads / heads).toArray();
            Attention attention = new Attention(kvOf, size, 0.2f, random.nextBoolean() ? 0 : 1 + random.nextInt(70),
                    random.nextInt(3) == 0 ? 5 : 0);
            Act x = act(dim, InputPolicy.F32);
            Act delta = act(dim, InputPolicy.F32);
            Act normed = act(dim, policy);
            Act q = act(heads * size, InputPolicy.F32);
            Act k = act(kvHeads * size, InputPolicy.F32);
            Act v = act(kvHeads * size, InputPolicy.F32);
            Act mixed = act(heads * size, mixedPolicy);
            Act gate = act(width, InputPolicy.F32);
            Act up = act(width, InputPolicy.F32);
            Act hidden = act(width, policy);
            Logits logits = room.logits(vocabulary);
            TopK best = room.topK(Math.min(vocabulary, 3));
            boolean gathered = ops.gathers().contains(format);
            Linear some = new Linear(gathered ? weight(format, width, dim, policy, Use.ROWS) : back.weight(),
                    gathered ? gains(width) : null);
            Linear sums = new Linear(gathered ? weight(format, width, dim, InputPolicy.F32, Use.COLUMNS) : back.weight(), gains(dim));
            Act compact = act(width, InputPolicy.F32);
            RowSet set = room.rowSet(width);
            int[] position = new int[seqs];
            for (int step = 0; step < 6; step++) {
                Batch b = batch(limits, seqs, position, vocabulary, step);
                int one = 1 + random.nextInt(4);
                ops.write(set, IntStream.range(0, width).filter(j -> j % one == 0).toArray());
                ops.run(Step.of(0, b), b, () -> {
                    ops.embed(Embedding.of(table), x);
                    ops.addNorm(x, null, null, norm, false, normed);
                    ops.qkv(normed, qkv, headNorm, rope, kv, 0, q, k, v);
                    ops.attend(q, kv, 0, attention, mixed);
                    ops.linear(mixed, back, delta);
                    ops.addNorm(x, delta, random.nextBoolean() ? norm : null, norm, false, normed);
                    ops.ffn(normed, ffn, gate, up, hidden, delta);
                    if (gathered) {
                        ops.rows(normed, some, set, compact);
                        ops.columns(compact, sums, set, delta);
                        ops.select(compact, 0.5f, set);
                    }
                    ops.activate(f, gate, up, hidden);
                    ops.addNorm(x, delta, null, norm, true, normed);
                    if (b.logitRows() == 0) return;
                    ops.logits(normed, new Linear(table, null), 3, logits);
                    ops.topK(logits, best.k(), best);
                });
                // embed, three norms, three products with rotation and attention, one back, two of the block, one activation
                calls += 13;
                assertEquals(b.rows() * dim, ops.read(normed, b.rows()).length);
                if (packs) ops.write(normed, gaussian(b.rows() * dim));
            }
            room.close();
        }
    }

    private Act act(int cols, InputPolicy policy) {
        return room.act(cols, policy);
    }

    /** Some rows of each sequence after those that it has, then padding. */
    private Batch batch(Limits limits, int seqs, int[] position, int vocabulary, int step) {
        Batch b = new Batch(limits);
        b.clear(4);
        for (int s = 0; s < seqs; s++) {
            int first = 1 + 4 * s;
            b.addSequence(new int[]{first + 2, first, first + 3, first + 1}, 4);
            int rows = step % 2 == 0 ? 1 : 1 + random.nextInt(limits.rows() / seqs);
            for (int r = 0; r < rows && position[s] < 128 && b.rows() < limits.rows(); r++) {
                b.addRow(random.nextInt(vocabulary), position[s]++, r == 0 && b.logitRows() < 3);
            }
        }
        if (b.rows() == 0 || b.rows() < limits.rows() && random.nextBoolean()) b.addPadding();
        return b;
    }

    /** A guard that guards nothing would let the test above pass. */
    @Test
    void aGuardEndsTheProcess() throws Exception {
        Path java = Path.of(System.getProperty("java.home"), "bin/java");
        Path log = Files.createTempFile("guard", ".log");
        try {
            Process p = new ProcessBuilder(java.toString(), "-XX:-CreateCoredumpOnCrash", "-XX:ErrorFile=/dev/null", "-cp",
                    System.getProperty("java.class.path"), "--enable-native-access=ALL-UNNAMED", GuardPagesTest.class.getName())
                    .redirectErrorStream(true).redirectOutput(log.toFile()).start();
            assertTrue(p.waitFor() != 0);
            String out = Files.readString(log);
            assertTrue(out.contains("inside") && !out.contains("outside") && out.contains("SIGSEGV"), out);
        } finally {
            Files.delete(log);
        }
    }

    /** Reads the last byte of a piece, then the one after it. */
    public static void main(String[] args) {
        MemorySegment s = new GuardedMemory(true).allocate(64, Arena.global());
        System.out.println("inside " + s.get(ValueLayout.JAVA_BYTE, 63));
        MemorySegment beyond = MemorySegment.ofAddress(s.address()).reinterpret(128);
        System.out.println("outside " + beyond.get(ValueLayout.JAVA_BYTE, 64));
    }
}
