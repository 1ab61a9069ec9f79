package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Batch;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.Limits;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/** The rows of the current step where the C kernels see them. */
final class NativeBatch implements AutoCloseable {
    private final NativeMemory memory;
    private Arena arena = Arena.ofShared();
    private MemorySegment ids = MemorySegment.NULL;
    private MemorySegment positions = MemorySegment.NULL;
    private MemorySegment sequences = MemorySegment.NULL;
    private MemorySegment blocks = MemorySegment.NULL;
    private MemorySegment logitRows = MemorySegment.NULL;
    private MemorySegment each = MemorySegment.NULL;
    private MemorySegment table = MemorySegment.NULL;
    private int maxRows;
    private int maxLogitRows;
    private int maxTable;
    private @Nullable Batch batch;

    NativeBatch(NativeMemory memory) {
        this.memory = memory;
    }

    /** Makes room for steps of those limits. */
    @SuppressWarnings("MustBeClosedChecker") // closed when outgrown, the last by close()
    void reserve(Limits limits) {
        int size = Math.multiplyExact(limits.seqs(), limits.kvBlocks());
        if (limits.rows() <= maxRows && limits.logitRows() <= maxLogitRows && size <= maxTable) return;
        maxRows = Math.max(maxRows, limits.rows());
        maxLogitRows = Math.max(maxLogitRows, limits.logitRows());
        maxTable = Math.max(maxTable, size);
        arena.close();
        arena = Arena.ofShared();
        ids = memory.ints(maxRows, arena);
        positions = memory.ints(maxRows, arena);
        sequences = memory.ints(maxRows, arena);
        blocks = memory.ints(maxRows, arena);
        each = memory.ints(maxRows, arena);
        logitRows = memory.ints(maxLogitRows, arena);
        table = memory.ints(maxTable, arena);
        for (int i = 0; i < maxRows; i++) each.setAtIndex(ValueLayout.JAVA_INT, i, i);
    }

    void begin(Batch b) {
        reserve(b.limits());
        batch = b;
        for (int r = 0; r < b.rows(); r++) {
            ids.setAtIndex(ValueLayout.JAVA_INT, r, b.id(r));
            positions.setAtIndex(ValueLayout.JAVA_INT, r, b.pos(r));
            sequences.setAtIndex(ValueLayout.JAVA_INT, r, b.seq(r));
            blocks.setAtIndex(ValueLayout.JAVA_INT, r, b.block(b.seq(r), b.pos(r)));
        }
        for (int i = 0; i < b.logitRows(); i++) logitRows.setAtIndex(ValueLayout.JAVA_INT, i, b.logitRow(i));
        for (int s = 0; s < b.seqs(); s++) {
            for (int i = 0; i < b.kvBlocks(); i++) {
                table.setAtIndex(ValueLayout.JAVA_INT, (long) s * b.kvBlocks() + i, b.block(s, i * KvSpec.BLOCK));
            }
        }
    }

    void end() {
        batch = null;
    }

    Batch batch() {
        Batch b = batch;
        if (b == null) throw new IllegalStateException("outside run()");
        return b;
    }

    int rows() {
        return batch().rows();
    }

    MemorySegment ids() {
        return ids;
    }

    MemorySegment positions() {
        return positions;
    }

    /** The sequence of each row, -1 for padding. */
    MemorySegment sequences() {
        return sequences;
    }

    /** The block of the cache that each row is appended to. */
    MemorySegment blocks() {
        return blocks;
    }

    MemorySegment logitRows() {
        return logitRows;
    }

    /** 0, 1, 2, ... */
    MemorySegment each() {
        return each;
    }

    /** The blocks of each sequence, one sequence after another. */
    MemorySegment table() {
        return table;
    }

    int tableStride() {
        return batch().kvBlocks();
    }

    long tableSize() {
        return (long) batch().seqs() * batch().kvBlocks();
    }

    @Override
    public void close() {
        arena.close();
    }
}
