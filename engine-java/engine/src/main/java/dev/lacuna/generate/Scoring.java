package dev.lacuna.generate;

import dev.lacuna.model.Decoder;
import dev.lacuna.model.ForwardPass;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.Limits;
import java.util.stream.IntStream;

/** Log-likelihoods of a given text, by the same forward pass that generates. */
final class Scoring {
    /** Rows of a step; their logits are kept at once. */
    private static final int ROWS = 64;

    private Scoring() {}

    static double nll(Decoder decoder, EngineOptions options, int[] tokens, boolean decode) {
        int blocks = KvSpec.blocksFor(tokens.length);
        int chunk = decode ? 1 : ROWS;
        Limits limits = new Limits(chunk, 1, chunk, blocks);
        int[] table = IntStream.rangeClosed(1, blocks).toArray();
        double total = 0;
        try (ForwardPass pass = decoder.pass(limits); KvPool pool = decoder.ops().kv(decoder.spec().kv(options.kv()), blocks + 1)) {
            Batch batch = new Batch(limits);
            for (int from = 0; from < tokens.length - 1; from += chunk) {
                int to = Math.min(from + chunk, tokens.length - 1);
                batch.clear(blocks);
                batch.addSequence(table, blocks);
                for (int p = from; p < to; p++) batch.addRow(tokens[p], p, true);
                pass.run(batch, pool);
                float[] logits = pass.logits();
                int first = from;
                int vocabulary = decoder.spec().vocabulary();
                double[] rows = IntStream.range(from, to).parallel().mapToDouble(p -> nll(logits, (p - first) * vocabulary, vocabulary, tokens[p + 1])).toArray();
                for (double row : rows) total += row;
            }
        }
        return total;
    }

    /** {@code log(sum(exp(l))) - l[token]}, in double precision. */
    private static double nll(float[] logits, int at, int vocabulary, int token) {
        float max = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < vocabulary; i++) max = Math.max(max, logits[at + i]);
        double sum = 0;
        for (int i = 0; i < vocabulary; i++) sum += Math.exp((double) logits[at + i] - max);
        return Math.log(sum) + max - logits[at + token];
    }
}
