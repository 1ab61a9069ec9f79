package dev.lacuna.ops;

/** How a cache packs keys and values. I8 has one F32 scale for each (position, head). */
public enum KvType {
    F32, F16, I8;

    /** Bytes of one head's values at one position. */
    public int headBytes(int headSize) {
        return switch (this) {
            case F32 -> 4 * headSize;
            case F16 -> 2 * headSize;
            case I8 -> headSize + 4;
        };
    }
}
