package dev.lacuna.kernels.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** What each thread needs for itself, grown between operations. */
final class NativeScratch implements AutoCloseable {
    private final NativeLibrary library;
    private final NativeMemory memory;
    private final MemorySegment[] of;
    private Arena arena = Arena.ofShared();
    private int cols = 1;
    private int rows = 1;
    private int queries = 1;
    private int headSize = 1;
    private long bytes;

    NativeScratch(NativeLibrary library, NativeMemory memory, int threads) {
        this.library = library;
        this.memory = memory;
        of = new MemorySegment[threads];
        grow();
    }

    @SuppressWarnings("MustBeClosedChecker") // closed when outgrown, the last by close()
    private void grow() {
        long need = library.scratchBytes(cols, rows, queries, headSize);
        if (need <= bytes) return;
        arena.close();
        arena = Arena.ofShared();
        for (int i = 0; i < of.length; i++) of[i] = memory.allocate(need, arena);
        bytes = need;
    }

    /** Makes room for rows of so many columns. */
    void cols(int n) {
        if (n <= cols) return;
        cols = n;
        grow();
    }

    /** Makes room for so many rows. */
    void rows(int n) {
        if (n <= rows) return;
        rows = n;
        grow();
    }

    /** Makes room for so many queries of heads of that size. */
    void queries(int n, int size) {
        if (n <= queries && size <= headSize) return;
        queries = Math.max(n, queries);
        headSize = Math.max(size, headSize);
        grow();
    }

    MemorySegment of(int worker) {
        return of[worker];
    }

    @Override
    public void close() {
        arena.close();
    }
}
