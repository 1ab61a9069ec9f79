package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Attention;
import dev.lacuna.ops.Batch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The parts of an attention where the C kernels see them. */
final class NativeTiles implements AutoCloseable {
    private final AttentionTiles tiles = new AttentionTiles();
    private final NativeMemory memory;
    private Arena arena = Arena.ofShared();
    private MemorySegment rows = MemorySegment.NULL;
    private MemorySegment heads = MemorySegment.NULL;
    private MemorySegment groups = MemorySegment.NULL;
    private MemorySegment kvOf = MemorySegment.NULL;
    private int maxRows;
    private int maxHeads;

    NativeTiles(NativeMemory memory) {
        this.memory = memory;
    }

    @SuppressWarnings("MustBeClosedChecker") // closed when outgrown, the last by close()
    private void reserve(int rowCount, int headCount) {
        if (rowCount <= maxRows && headCount <= maxHeads) return;
        maxRows = Math.max(rowCount, maxRows);
        maxHeads = Math.max(headCount, maxHeads);
        arena.close();
        arena = Arena.ofShared();
        rows = memory.ints(maxRows + 1L, arena);
        heads = memory.ints(maxHeads, arena);
        groups = memory.ints(maxHeads + 1L, arena);
        kvOf = memory.ints(maxHeads, arena);
    }

    /** Makes room for steps of so many rows. */
    void reserve(int rowCount) {
        reserve(rowCount, maxHeads);
    }

    /** Cuts and returns the number of parts. */
    int cut(Batch b, Attention a, int kvHeads, int threads) {
        int parts = tiles.cut(b, a, kvHeads, threads);
        reserve(b.rows(), a.heads());
        MemorySegment.copy(tiles.rows, 0, rows, ValueLayout.JAVA_INT, 0, tiles.count + 1);
        MemorySegment.copy(tiles.heads, 0, heads, ValueLayout.JAVA_INT, 0, a.heads());
        MemorySegment.copy(tiles.groups, 0, groups, ValueLayout.JAVA_INT, 0, tiles.groupCount + 1);
        MemorySegment.copy(a.kvOf(), 0, kvOf, ValueLayout.JAVA_INT, 0, a.heads());
        return parts;
    }

    /** The most queries of a part. */
    int queries() {
        return tiles.queries();
    }

    /** Passes tiles, heads, groups and what each head reads, in the order of {@code struct attend_args}. */
    void pass(Args args, Attention a) {
        args.ints(rows, tiles.count + 1).ints(heads, a.heads()).ints(groups, tiles.groupCount + 1).ints(kvOf, a.heads())
                .number(tiles.groupCount);
    }

    @Override
    public void close() {
        arena.close();
    }
}
