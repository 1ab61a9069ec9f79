package dev.lacuna;

import dev.lacuna.generate.Engine;
import dev.lacuna.model.Decoder;
import dev.lacuna.model.ForwardPass;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Weight;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.ToLongFunction;

/**
 * Times the steps of an open model on random tokens, without tokenizer or sampler. Each sequence has its own cache; prompts ask for the logits of their
 * last token, decoding for those of each.
 */
public final class Benchmark implements AutoCloseable {
    private final Engine engine;
    private final Decoder decoder;
    private final Limits limits;
    private final KvPool pool;
    private final ForwardPass pass;
    private final Batch batch;
    private final Random random = new Random(1);
    private final int[][] tables;
    private boolean closed;

    /**
     * What a step reads and computes of the weights; caches and attention come on top.
     *
     * @param parameters       values of all matrices, the table of tokens among them
     * @param bytes            their bytes as the format packs them
     * @param stepBytes        bytes that each step reads: of all products, the output's once
     * @param layerMultiplies  multiply-adds of a row in the layers' products
     * @param outputMultiplies multiply-adds of a row that asks for logits, on top
     */
    public record Work(long parameters, long bytes, long stepBytes, long layerMultiplies, long outputMultiplies) {}

    Benchmark(Engine engine, Decoder decoder, KvType kv, Limits limits) {
        this.engine = engine;
        this.decoder = decoder;
        this.limits = limits;
        batch = new Batch(limits);
        tables = new int[limits.seqs()][limits.kvBlocks()];
        for (int s = 0; s < tables.length; s++) {
            int first = 1 + s * limits.kvBlocks(); // block 0 is the scrap block
            Arrays.setAll(tables[s], i -> first + i);
        }
        KvSpec shape = decoder.spec().kv(kv);
        pool = engine.call(() -> decoder.ops().kv(shape, blocks(limits.seqs(), limits.kvBlocks() * KvSpec.BLOCK)));
        pass = openPass();
    }

    private ForwardPass openPass() {
        try {
            return engine.call(() -> decoder.pass(limits, pool));
        } catch (RuntimeException e) {
            closePool();
            throw e;
        }
    }

    /** Blocks of the caches and the scrap block. */
    static int blocks(int sequences, int positions) {
        return Math.addExact(Math.multiplyExact(sequences, KvSpec.blocksFor(positions)), 1);
    }

    /** What the weights cost. */
    public Work work() {
        List<Weight> products = decoder.products();
        Weight output = decoder.output().weight();
        List<Weight> all = new ArrayList<>(products);
        all.add(output);
        long stepBytes = sum(all, Benchmark::bytes);
        if (!decoder.embedding().table().equals(output)) all.add(decoder.embedding().table());
        if (decoder.embedding().positions() != null) all.add(decoder.embedding().positions());
        return new Work(sum(all, Benchmark::values), sum(all, Benchmark::bytes), stepBytes, sum(products, Benchmark::values),
                values(output));
    }

    private static long values(Weight w) {
        return (long) w.rows() * w.cols();
    }

    private static long bytes(Weight w) {
        return w.format().bytes(w.rows(), w.cols());
    }

    private static long sum(List<Weight> weights, ToLongFunction<Weight> of) {
        return weights.stream().mapToLong(of).sum();
    }

    /** The inputs of the products of a step of so many rows; several where formats differ. */
    public String inputs(int rows) {
        Set<String> inputs = new LinkedHashSet<>();
        for (Weight w : decoder.products()) inputs.add(w.policy().of(rows).toString());
        inputs.add(decoder.output().weight().policy().of(rows).toString());
        return String.join("+", inputs);
    }

    /** Whether a step of so many sequences counts as one of few rows, for which inputs and kernels may differ. */
    public static boolean few(int rows) {
        return rows <= InputPolicy.FEW;
    }

    /**
     * Fills the first positions of the caches.
     *
     * @param sequences caches to fill
     * @param depth     tokens of each
     */
    public void fill(int sequences, int depth) {
        require(sequences, depth, 0);
        time(() -> {
            for (int s = 0; s < sequences; s++) feed(s, 0, depth, false);
        });
    }

    /**
     * Feeds a prompt, after what {@link #fill} put there.
     *
     * @return nanoseconds
     */
    public long prompt(int depth, int tokens) {
        require(1, depth, tokens);
        return time(() -> {
            feed(0, depth, depth + tokens, true);
            pass.best();
        });
    }

    /** Steps that {@link #prompt} takes. */
    public int steps(int tokens) {
        return (tokens + limits.rows() - 1) / limits.rows();
    }

    /**
     * Decodes tokens of several sequences together, after what {@link #fill} put there.
     *
     * @param tokens of each sequence, one a step
     * @return nanoseconds
     */
    public long decode(int sequences, int depth, int tokens) {
        require(sequences, depth, tokens);
        return time(() -> {
            for (int position = depth; position < depth + tokens; position++) {
                batch.clear(limits.kvBlocks());
                for (int s = 0; s < sequences; s++) {
                    batch.addSequence(tables[s], tables[s].length);
                    batch.addRow(token(), position, true);
                }
                pass.run(batch);
                pass.best();
            }
        });
    }

    private void require(int sequences, int depth, int tokens) {
        if (sequences < 1 || sequences > limits.seqs()) {
            throw new IllegalArgumentException(sequences + " sequences; 1 to " + limits.seqs() + " have room");
        }
        if (depth < 0 || tokens < 0 || (long) depth + tokens > (long) limits.kvBlocks() * KvSpec.BLOCK) {
            throw new IllegalArgumentException(
                    tokens + " tokens after " + depth + " do not fit into " + limits.kvBlocks() * KvSpec.BLOCK + " positions");
        }
    }

    /** One call of the engine's thread, so that handing over is no part of a step. */
    private long time(Runnable work) {
        return engine.call(() -> {
            long begun = System.nanoTime();
            work.run();
            return System.nanoTime() - begun;
        });
    }

    private void feed(int sequence, int first, int end, boolean asks) {
        for (int from = first; from < end; from += limits.rows()) {
            int to = Math.min(end, from + limits.rows());
            batch.clear(limits.kvBlocks());
            batch.addSequence(tables[sequence], limits.kvBlocks());
            for (int p = from; p < to; p++) batch.addRow(token(), p, asks && p == end - 1);
            pass.run(batch);
        }
    }

    private int token() {
        return random.nextInt(decoder.spec().vocabulary());
    }

    private void closePool() {
        engine.call(() -> {
            pool.close();
            return true;
        });
    }

    /** Frees caches and operands; idempotent. Close it before the model. */
    @Override
    public void close() {
        if (closed) return;
        closed = true;
        engine.call(() -> {
            pass.close();
            return true;
        });
        closePool();
    }
}
