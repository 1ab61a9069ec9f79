package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Weight;
import dev.lacuna.tensor.Format;
import java.lang.foreign.MemorySegment;

/**
 * A matrix in tiles of 16 rows, in the order in which products read it; see {@code formats.h}.
 *
 * @param data      the tiles, the last padded with rows of zeros; where they differ in length, first the offset of each
 * @param tileBytes bytes of a tile; 0: they differ
 */
record NativeWeight(int rows, int cols, Format format, InputPolicy policy, NativeFormat packing, MemorySegment data, long tileBytes)
        implements
            Weight {
    /** Rows of a tile. */
    static final int TILE = 16;

    long tiles() {
        return tiles(rows);
    }

    static int tiles(int rows) {
        return (rows + TILE - 1) / TILE;
    }

    @Override
    public long bytes() {
        return data.byteSize();
    }
}
