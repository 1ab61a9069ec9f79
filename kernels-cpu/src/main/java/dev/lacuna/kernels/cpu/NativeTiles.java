package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Attention;
import dev.lacuna.ops.Batch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** How attention is cut into parts: tiles of query rows of one sequence times groups of query heads that read one key/value head. */
final class NativeTiles implements AutoCloseable {
    /** Query rows of a tile. */
    private static final int ROWS = 8;

    private final NativeMemory memory;
    private Arena arena = Arena.ofShared();
    private MemorySegment tiles = MemorySegment.NULL;
    private MemorySegment heads = MemorySegment.NULL;
    private MemorySegment groups = MemorySegment.NULL;
    private MemorySegment kvOf = MemorySegment.NULL;
    private int maxRows;
    private int maxHeads;
    private int count;
    private int groupCount;
    private int queries;

    NativeTiles(NativeMemory memory) {
        this.memory = memory;
    }

    void reserve(int rows) {
        reserve(rows, maxHeads);
    }

    @SuppressWarnings("MustBeClosedChecker") // closed when outgrown, the last by close()
    private void reserve(int rows, int headCount) {
        if (rows <= maxRows && headCount <= maxHeads) return;
        maxRows = Math.max(rows, maxRows);
        maxHeads = Math.max(headCount, maxHeads);
        arena.close();
        arena = Arena.ofShared();
        tiles = memory.ints(maxRows + 1L, arena);
        heads = memory.ints(maxHeads, arena);
        groups = memory.ints(maxHeads + 1L, arena);
        kvOf = memory.ints(maxHeads, arena);
    }

    private static void set(MemorySegment s, int i, int v) {
        s.setAtIndex(ValueLayout.JAVA_INT, i, v);
    }

    /** Cuts and returns the number of parts. Heads are single where groups would leave threads without work. */
    int cut(Batch b, Attention a, int kvHeads, int threads) {
        reserve(b.rows(), a.heads());
        count = 0;
        int begin = 0;
        for (int r = 0; r < b.rows(); r++) {
            if (count == 0 || r - begin == ROWS || b.seq(r) != b.seq(r - 1)) {
                set(tiles, count++, r);
                begin = r;
            }
        }
        set(tiles, count, b.rows());
        boolean single = count * kvHeads < threads;
        groupCount = 0;
        int most = 1;
        int n = 0;
        for (int kv = 0; kv < kvHeads; kv++) {
            int first = n;
            for (int h = 0; h < a.heads(); h++) {
                if (a.kvOf()[h] != kv) continue;
                if (single || n == first) set(groups, groupCount++, n);
                set(heads, n++, h);
            }
            most = Math.max(most, n - first);
        }
        set(groups, groupCount, n);
        for (int h = 0; h < a.heads(); h++) set(kvOf, h, a.kvOf()[h]);
        queries = Math.min(ROWS, b.rows()) * most;
        return count * groupCount;
    }

    MemorySegment tiles() {
        return tiles;
    }

    int count() {
        return count;
    }

    MemorySegment heads() {
        return heads;
    }

    MemorySegment groups() {
        return groups;
    }

    int groupCount() {
        return groupCount;
    }

    MemorySegment kvOf() {
        return kvOf;
    }

    /** The most queries of a part. */
    int queries() {
        return queries;
    }

    @Override
    public void close() {
        arena.close();
    }
}
