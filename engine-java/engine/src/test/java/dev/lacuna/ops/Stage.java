package dev.lacuna.ops;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Where one conformance case is played, once by the reference and once by the kernels under test: seeded operands, red zones around each activation,
 * poison in everything that is to be written, host memory scribbled over as soon as it may be, and the results that were seen.
 */
final class Stage implements AutoCloseable {
    private static final int GUARD = 5;
    private static final float PATTERN = 0.15625f;

    final Ops ops;
    final RandomGenerator random;
    private final Limits limits;
    private final Workspace room;
    private final Arena arena = Arena.ofShared();
    private final List<Act> guards = new ArrayList<>();
    private final List<KvPool> pools = new ArrayList<>();
    private final Map<String, Seen> seen = new LinkedHashMap<>();

    /** A result and how near another must be. */
    record Seen(float[] values, Agreement agreement) {}

    Stage(Ops ops, Limits limits, long seed) {
        this.ops = new CheckedOps(ops);
        this.limits = limits;
        random = new SplittableRandom(seed); // Random's own Gaussians were a quarter of the suite's time
        room = this.ops.workspace(limits);
        guard();
    }

    Limits limits() {
        return limits;
    }

    private void guard() {
        Act guard = room.act(GUARD, InputPolicy.F32);
        float[] pattern = new float[limits.rows() * GUARD];
        Arrays.fill(pattern, PATTERN);
        write(guard, pattern);
        guards.add(guard);
    }

    // ---- operands

    float[] gaussian(int n) {
        float[] v = new float[n];
        for (int i = 0; i < n; i++) v[i] = (float) random.nextGaussian();
        return v;
    }

    /** Small integers with one of 127 in each 32, so that their 8-bit packing has scale 1 and loses nothing. */
    float[] whole(int rows, int cols) {
        float[] v = new float[rows * cols];
        for (int i = 0; i < v.length; i++) v[i] = random.nextInt(-7, 8);
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c += 32) v[r * cols + c + random.nextInt(Math.min(32, cols - c))] = random.nextBoolean() ? 127 : -127;
        }
        return v;
    }

    /** An activation full of NaN. */
    Act act(int cols, InputPolicy policy) {
        Act act = room.act(cols, policy);
        guard();
        float[] poison = new float[limits.rows() * cols];
        Arrays.fill(poison, Float.NaN);
        write(act, poison);
        return act;
    }

    Act act(int cols, InputPolicy policy, float[] v) {
        Act act = act(cols, policy);
        write(act, v);
        return act;
    }

    void write(Act act, float[] v) {
        float[] host = v.clone();
        ops.write(act, host);
        Arrays.fill(host, Float.NaN);
    }

    Logits logits(int vocabulary) {
        return room.logits(vocabulary);
    }

    TopK topK(int k) {
        return room.topK(k);
    }

    RowSet rowSet(int capacity) {
        return room.rowSet(capacity);
    }

    Values values(float[] v) {
        float[] host = v.clone();
        Values values = ops.values(host);
        Arrays.fill(host, Float.NaN);
        return values;
    }

    /** Gains of a norm: around one. */
    Values gains(int n) {
        float[] v = gaussian(n);
        for (int i = 0; i < n; i++) v[i] = 1 + v[i] / 4;
        return values(v);
    }

    Tensor tensor(Format format, int rows, int cols) {
        return PackedWeights.random(format, rows, cols, arena, random);
    }

    Tensor wholeTensor(Format format, int rows, int cols) {
        return PackedWeights.whole(format, rows, cols, arena, random);
    }

    Weight place(Tensor tensor, InputPolicy policy) {
        return ops.place(List.of(tensor), policy, EnumSet.of(Use.PRODUCT)).getFirst();
    }

    Linear linear(Format format, int rows, int cols, InputPolicy policy, boolean bias) {
        return new Linear(place(tensor(format, rows, cols), policy), bias ? values(gaussian(rows)) : null);
    }

    Weight table(Tensor tensor, InputPolicy policy) {
        return ops.place(List.of(tensor), policy, Set.of(Use.EMBED, Use.PRODUCT)).getFirst();
    }

    KvPool kv(KvSpec spec, int blocks) {
        KvPool pool = ops.kv(spec, blocks);
        pools.add(pool);
        return pool;
    }

    /** The table of plain rotary embedding. */
    Rope rope(int dims, int headSize, int positions, boolean interleaved) {
        float[] table = new float[Math.max(1, positions * dims)];
        for (int p = 0; p < positions; p++) {
            for (int i = 0; i < dims / 2; i++) {
                double angle = p * Math.pow(10000, -2.0 * i / dims);
                table[p * dims + 2 * i] = (float) Math.cos(angle);
                table[p * dims + 2 * i + 1] = (float) Math.sin(angle);
            }
        }
        return new Rope(values(table), dims, headSize, interleaved);
    }

    // ---- steps

    Batch batch(int kvBlocks) {
        Batch b = new Batch(limits);
        b.clear(kvBlocks);
        return b;
    }

    /** A batch of rows that need no sequence state. */
    Batch rows(int rows) {
        Batch b = batch(1);
        b.addSequence(new int[]{1}, 1);
        for (int r = 0; r < rows; r++) b.addRow(0, 0, false);
        return b;
    }

    void run(Batch b, Runnable body) {
        ops.run(Step.of(0, b), b, body);
        scribble(b);
    }

    /** The loop reuses its batch at once: nothing may look at it after the step. */
    private void scribble(Batch b) {
        b.clear(limits.kvBlocks());
        int[] garbage = new int[limits.kvBlocks()];
        Arrays.fill(garbage, 1 << 29);
        for (int s = 0; s < limits.seqs(); s++) b.addSequence(garbage, garbage.length);
        for (int r = 0; r < limits.rows(); r++) b.addRow(1 << 29, 1 << 29, r < limits.logitRows());
    }

    // ---- results

    void see(String name, float[] values, Agreement agreement) {
        if (seen.put(name, new Seen(values, agreement)) != null) throw new IllegalArgumentException(name + " twice");
    }

    /** The first rows of an activation; the others must still be poison. */
    float[] see(String name, Act act, int rows, Agreement agreement) {
        float[] all = ops.read(act, limits.rows());
        for (int i = rows * act.cols(); i < all.length; i++) {
            if (!Float.isNaN(all[i])) fail(name + ": row " + i / act.cols() + " of a step of " + rows + " rows was written");
        }
        float[] v = Arrays.copyOf(all, rows * act.cols());
        see(name, v, agreement);
        return v;
    }

    /** What packing for a consumer gives, with the agreement that fits it. */
    float[] seePacked(String name, Act act, int rows) {
        return seePacked(name, act, rows, 0);
    }

    /** The same of few values, which may happen to be almost zero: {@code typical} is the sum of squares of the terms that they were made of. */
    float[] seePacked(String name, Act act, int rows, double typical) {
        return see(name, act, rows, switch (act.policy().of(rows)) {
            case Input.F32 f32 -> new Agreement.Nmse(1e-11, typical);
            case Input.Bf16 bf16 -> new Agreement.Codes(act.cols(), act.cols(), -8, Math.sqrt(typical / rows / act.cols()));
            case Input.I8 i8 -> new Agreement.Codes(act.cols(), i8.blockOf(act.cols()), 127, Math.sqrt(typical / rows / act.cols()));
        });
    }

    /** All blocks of a cache but the scrap block. */
    void see(String name, KvPool pool, @Nullable Agreement agreement) {
        Agreement how = agreement != null ? agreement : switch (pool.spec().type()) {
            case F32 -> Agreement.FLOAT;
            // rotated keys are differences of products of about one, which may all but cancel
            case F16 -> new Agreement.Codes(1, 1, 0, 1);
            case I8 -> new Agreement.Codes(pool.spec().headSize(), 127);
        };
        for (int l = 0; l < pool.spec().kvHeads().length; l++) {
            for (int block = 1; block < pool.blocks(); block++) {
                see(name + " keys, layer " + l + ", block " + block, pool.readKeys(l, block), how);
                see(name + " values, layer " + l + ", block " + block, pool.readValues(l, block), how);
            }
        }
    }

    void checkRedZones() {
        for (int g = 0; g < guards.size(); g++) {
            for (float v : ops.read(guards.get(g), limits.rows())) {
                if (v != PATTERN) fail("red zone " + g + " of " + guards.size() + " was written: " + v);
            }
        }
    }

    /** All that was seen, by name. */
    Map<String, Seen> seen() {
        return seen;
    }

    void agreesWith(Map<String, Seen> reference, String what) {
        assertEquals(reference.keySet(), seen.keySet());
        // as near as the kernels under test are to be: the reference may have been kept from a test of others
        reference.forEach((name, expected) -> {
            Seen actual = seen.get(name);
            actual.agreement().check(what + ": " + name, expected.values(), actual.values());
        });
    }

    /** Ends the life of the operands and not of the kernels. */
    void closeOperands() {
        room.close();
        pools.forEach(KvPool::close);
    }

    @Override
    public void close() {
        closeOperands();
        ops.close();
        assertEquals(0, ((CheckedOps) ops).openOperands(), "open operands at the end");
        arena.close();
    }
}
