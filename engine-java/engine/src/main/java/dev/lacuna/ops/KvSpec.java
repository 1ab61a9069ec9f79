package dev.lacuna.ops;

/**
 * The shape of a cache.
 *
 * @param kvHeads  key/value heads of each layer; 0 where a layer has no attention
 * @param headSize values of a head
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record KvSpec(int[] kvHeads, int headSize, KvType type) {
    /** Positions of one block. */
    public static final int BLOCK = 32;

    /** Bytes of one block over all layers, keys and values. */
    public long blockBytes() {
        long heads = 0;
        for (int h : kvHeads) heads += h;
        return 2L * BLOCK * heads * type.headBytes(headSize);
    }

    /** Blocks that hold that many positions. */
    public static int blocksFor(int positions) {
        return (positions + BLOCK - 1) / BLOCK;
    }
}
