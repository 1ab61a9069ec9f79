package dev.lacuna.ops;

/**
 * The bytes of a cache, paged in blocks of {@link KvSpec#BLOCK} positions; the layout belongs to the backend. Which block belongs to whom is
 * {@code model.KvCache}'s business, which never sees a byte.
 */
public interface KvPool extends AutoCloseable {
    KvSpec spec();

    int blocks();

    long bytes();

    /** Copies all layers of a block: copy on write of a shared prefix. */
    void copyBlock(int from, int to);

    /** The keys of a block, unpacked, {@code [BLOCK x kvHeads x headSize]}: for tests and exports. */
    float[] readKeys(int layer, int block);

    /** The values of a block, likewise. */
    float[] readValues(int layer, int block);

    /** Frees the bytes; idempotent. */
    @Override
    void close();
}
