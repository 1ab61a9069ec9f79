package dev.lacuna.kernels.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** Memory between two pages that nobody may touch, which ends at one or begins at the other: a byte too far ends the process. */
final class GuardedMemory implements NativeMemory {
    private static final long PAGE = 4096;
    private static final int NO_ACCESS = 0, READ_WRITE = 3, PRIVATE_ANONYMOUS = 0x22;
    private static final MethodHandle MMAP = bind("mmap", FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG));
    private static final MethodHandle MPROTECT = bind("mprotect",
            FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT));
    private static final MethodHandle MUNMAP = bind("munmap",
            FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG));

    private final boolean atEnd;

    /** {@code atEnd}: whether pieces end at a guard, else they begin after one. */
    GuardedMemory(boolean atEnd) {
        this.atEnd = atEnd;
    }

    private static MethodHandle bind(String name, FunctionDescriptor type) {
        return Linker.nativeLinker().downcallHandle(Linker.nativeLinker().defaultLookup().findOrThrow(name), type);
    }

    @Override
    public MemorySegment allocate(long bytes, Arena arena) {
        return allocate(bytes, bytes >= 64 ? 64 : Integer.BYTES, arena);
    }

    @Override
    public MemorySegment weights(long bytes, Arena arena) {
        return allocate(bytes, 64, arena);
    }

    private MemorySegment allocate(long bytes, int align, Arena arena) {
        long inside = (bytes + PAGE - 1) / PAGE * PAGE;
        long all = inside + 2 * PAGE;
        try {
            MemorySegment at = (MemorySegment) MMAP.invokeExact(MemorySegment.NULL, all, NO_ACCESS, PRIVATE_ANONYMOUS, -1, 0L);
            if (at.address() == -1) throw new OutOfMemoryError("mmap of " + all);
            MemorySegment usable = MemorySegment.ofAddress(at.address() + PAGE);
            if ((int) MPROTECT.invokeExact(usable, inside, READ_WRITE) != 0) throw new IllegalStateException("mprotect");
            long first = atEnd ? usable.address() + inside - bytes : usable.address();
            first = first / align * align;
            return MemorySegment.ofAddress(first).reinterpret(bytes, arena, s -> {
                try {
                    int ignored = (int) MUNMAP.invokeExact(at, all);
                } catch (Throwable e) {
                    throw new IllegalStateException(e);
                }
            });
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }
}
