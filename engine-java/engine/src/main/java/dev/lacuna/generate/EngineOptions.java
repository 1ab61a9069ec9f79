package dev.lacuna.generate;

import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;

/**
 * Sizes of an engine.
 *
 * @param context   most tokens of a sequence
 * @param sessions  full contexts that the cache has room for; sequences that are shorter share it
 * @param kv        packing of the cache
 * @param batchRows rows of a step: decode rows first, prefill in chunks of what is left
 * @param batchSeqs sequences of a step
 */
public record EngineOptions(int context, int sessions, KvType kv, int batchRows, int batchSeqs) {
    public EngineOptions {
        if (context < 2) throw new IllegalArgumentException("a context of " + context + " tokens has no room for a prompt and an answer");
        if (sessions < 1 || sessions > 4096) throw new IllegalArgumentException("sessions must be within 1..4096, not " + sessions);
        if (batchSeqs < 1 || batchRows < batchSeqs) {
            throw new IllegalArgumentException("a step needs a row for each of its sequences: " + batchRows + " rows, " + batchSeqs + " sequences");
        }
    }

    /** Blocks of the pool: the contexts, and the scrap block. */
    public int blocks() {
        return Math.addExact(Math.multiplyExact(sessions, KvSpec.blocksFor(context)), 1);
    }
}
