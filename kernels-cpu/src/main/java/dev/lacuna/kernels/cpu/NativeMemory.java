package dev.lacuna.kernels.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Where operands of C kernels come from: zeroed memory outside the heap. Tests put pages that nobody may touch around each piece. */
interface NativeMemory {
    /** The arena's own. */
    static MemorySegment plain(long bytes, Arena arena) {
        return arena.allocate(bytes, 64);
    }

    /** At least 64-byte aligned, but for pieces of less than 64 bytes. */
    MemorySegment allocate(long bytes, Arena arena);

    /** For weights, which products stream. */
    default MemorySegment weights(long bytes, Arena arena) {
        return allocate(bytes, arena);
    }

    /** For {@code n} ints. */
    default MemorySegment ints(long n, Arena arena) {
        return allocate(Math.multiplyExact(Math.max(1, n), Integer.BYTES), arena);
    }
}
