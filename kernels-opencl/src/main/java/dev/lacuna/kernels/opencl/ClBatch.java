package dev.lacuna.kernels.opencl;

import dev.lacuna.kernels.opencl.DeviceMemory.Buffer;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.Limits;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.function.IntUnaryOperator;
import org.jspecify.annotations.Nullable;

/** The rows of the current step on the device, a buffer for each field. */
final class ClBatch {
    /** Fields: what each holds for a row, a logit row or an entry of the block table. */
    enum Field {
        IDS, POSITIONS, SEQUENCES, BLOCKS, LOGIT_ROWS, TABLE,
        /** 0, 1, 2, ... */
        EACH
    }

    private final DeviceMemory memory;
    private final Map<Field, Buffer> fields = new EnumMap<>(Field.class);
    private @Nullable Batch batch;

    ClBatch(DeviceMemory memory) {
        this.memory = memory;
    }

    /** Makes room for steps of those limits. */
    void reserve(Limits limits) {
        long all = 0;
        for (Field f : Field.values()) {
            int n = switch (f) {
                case LOGIT_ROWS -> limits.logitRows();
                case TABLE -> Math.multiplyExact(limits.seqs(), limits.kvBlocks());
                default -> limits.rows();
            };
            long bytes = (long) n * Integer.BYTES;
            all += bytes;
            Buffer old = fields.get(f);
            if (old != null && bytes <= old.bytes()) continue;
            if (old != null) memory.free(old);
            fields.put(f, memory.allocate("a step's rows", bytes));
            if (f == Field.EACH) {
                memory.stage(bytes);
                send(0, f, n, i -> i, true);
            }
        }
        memory.stage(all);
    }

    Buffer of(Field f) {
        Buffer b = fields.get(f);
        if (b == null) throw new IllegalStateException("no room for a step");
        return b;
    }

    void begin(Batch b) {
        reserve(b.limits());
        batch = b;
        long at = send(0, Field.IDS, b.rows(), b::id, false);
        at = send(at, Field.POSITIONS, b.rows(), b::pos, false);
        at = send(at, Field.SEQUENCES, b.rows(), b::seq, false);
        at = send(at, Field.LOGIT_ROWS, b.logitRows(), b::logitRow, false);
        at = send(at, Field.TABLE, b.seqs() * b.kvBlocks(), i -> b.block(i / b.kvBlocks(), i % b.kvBlocks() * KvSpec.BLOCK), false);
        // in order: when the last has arrived, all have
        send(at, Field.BLOCKS, b.rows(), r -> b.block(b.seq(r), b.pos(r)), true);
    }

    /** Puts a field behind what is in the stage already and sends it; everything before it has arrived when it waits. */
    private long send(long at, Field f, int n, IntUnaryOperator value, boolean wait) {
        int[] all = new int[n];
        Arrays.setAll(all, value);
        long bytes = (long) n * Integer.BYTES;
        MemorySegment stage = memory.stage();
        MemorySegment.copy(all, 0, stage, ValueLayout.JAVA_INT, at, n);
        memory.send(of(f), at, bytes, wait);
        return at + bytes;
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
}
