package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Batch;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Step;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * The current batch on the device: one buffer, cut by the step's key alone, so that a recorded step finds each field where it was:
 * {@code id[rows], pos[rows], seq[rows], logitRow[logitRows], blockTable[seqs x kvBlocks]}.
 */
final class CudaBatch {
    private final CudaOps ops;
    private long address;
    private int room;
    private @Nullable Step step;

    CudaBatch(CudaOps ops) {
        this.ops = ops;
    }

    /** Makes room for steps of those limits. */
    void reserve(Limits limits) {
        reserve(Math.addExact(Math.addExact(3 * limits.rows(), limits.logitRows()), Math.multiplyExact(limits.seqs(), limits.kvBlocks())));
    }

    private void reserve(int ints) {
        if (ints <= room) return;
        ops.forgetSteps();
        if (room > 0) ops.device().free(address);
        room = 0;
        address = ops.device().allocate((long) ints * Integer.BYTES, "the batch");
        room = ints;
    }

    private static int ints(Step s) {
        return 3 * s.rows() + s.logitRows() + s.seqs() * s.kvBlocks();
    }

    void upload(Step key, Batch b) {
        int n = ints(key);
        reserve(n);
        step = key;
        int[] all = new int[n];
        int rows = key.rows();
        for (int r = 0; r < rows; r++) {
            all[r] = b.id(r);
            all[rows + r] = b.pos(r);
            all[2 * rows + r] = b.seq(r);
        }
        int at = 3 * rows;
        for (int i = 0; i < key.logitRows(); i++) all[at++] = b.logitRow(i);
        for (int s = 0; s < key.seqs(); s++) {
            for (int i = 0; i < key.kvBlocks(); i++) all[at++] = b.block(s, i * KvSpec.BLOCK);
        }
        ops.staging().upload(address, (long) n * Integer.BYTES, Integer.BYTES,
                (from, part) -> MemorySegment.copy(all, (int) from / Integer.BYTES, part, ValueLayout.JAVA_INT, 0,
                        (int) part.byteSize() / Integer.BYTES));
    }

    void end() {
        step = null;
    }

    /** The key of the step that is being recorded. */
    Step step() {
        Step s = step;
        if (s == null) throw new IllegalStateException("outside run()");
        return s;
    }

    int rows() {
        return step().rows();
    }

    long ids() {
        return address;
    }

    long positions() {
        return address + 4L * rows();
    }

    /** The sequence of each row, -1 for padding. */
    long sequences() {
        return address + 8L * rows();
    }

    long logitRows() {
        return address + 12L * rows();
    }

    /** The blocks of each sequence, one sequence after another. */
    long table() {
        return logitRows() + 4L * step().logitRows();
    }
}
