package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Input;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The arguments of a native kernel, slots of 8 bytes that are filled in order. This is the gate: no address gets into a slot before the range that a
 * kernel will touch was checked against the segment that it lies in.
 */
final class Args {
    private static final int SLOTS = 64;
    private static final MemorySegment NOTHING = MemorySegment.NULL;

    private final MemorySegment slots;
    private final long address;
    private int at;

    Args(Arena arena) {
        slots = arena.allocate(SLOTS * Long.BYTES, 64);
        address = slots.address();
    }

    long address() {
        return address;
    }

    Args begin() {
        at = 0;
        return this;
    }

    Args number(long v) {
        slots.setAtIndex(ValueLayout.JAVA_LONG, at++, v);
        return this;
    }

    Args real(double v) {
        slots.setAtIndex(ValueLayout.JAVA_DOUBLE, at++, v);
        return this;
    }

    Args none() {
        return number(NOTHING.address());
    }

    Args none(int slots) {
        for (int i = 0; i < slots; i++) none();
        return this;
    }

    /** The first {@code bytes} bytes of a segment outside the heap, whose address is a multiple of {@code align}. */
    Args memory(MemorySegment s, long bytes, int align) {
        Objects.checkFromIndexSize(0, bytes, s.byteSize());
        if (!s.isNative() || s.address() % align != 0)
            throw new IllegalArgumentException("not " + align + "-byte aligned memory outside the heap");
        if (!s.scope().isAlive()) throw new IllegalStateException("memory that is no longer there");
        return number(s.address());
    }

    /** An activation of which {@code rows} rows are read or written. */
    Args act(NativeAct a, int rows) {
        memory(a.floats(), Math.multiplyExact((long) rows, a.padded()) * Float.BYTES, 4);
        if (a.codes() == null) none();
        else
            memory(a.codes(), Math.multiplyExact((long) rows, a.codeBytes()), 16);
        number(a.cols()).number(a.padded()).number(a.codeBytes()).number(NativeCodes.of(a.packed()));
        return number(a.packed() instanceof Input.I8 i8 ? i8.block() : 0);
    }

    Args noAct() {
        return none(7);
    }

    Args weight(NativeWeight w, @Nullable NativeValues bias) {
        long bytes = w.packing().variable() && w.tileBytes() == 0 ? w.data().byteSize() : Math.multiplyExact(w.tiles(), w.tileBytes());
        memory(w.data(), bytes, 64);
        number(w.rows()).number(w.cols()).number(w.packing().code()).number(w.packing().group()).number(w.tileBytes());
        return bias == null ? none() : values(bias, w.rows());
    }

    /**
     * A weight whose rows lie one by one.
     *
     * @param outputs of the operation, to which the bias belongs
     */
    Args rows(NativeRows w, @Nullable NativeValues bias, int outputs) {
        memory(w.data(), Math.multiplyExact(w.rows(), w.stride()), 64);
        number(w.rows()).number(w.cols()).number(w.packing().code()).number(w.packing().group()).number(w.stride());
        return bias == null ? none() : values(bias, outputs);
    }

    Args noWeight() {
        return none(7);
    }

    /** At least {@code n} values, padded to whole lanes. */
    Args values(NativeValues v, int n) {
        if (v.size() < n) throw new IllegalArgumentException(v.size() + " values where " + n + " are needed");
        return memory(v.memory(), NativeAct.padded(n) * (long) Float.BYTES, 64);
    }

    Args ints(MemorySegment s, long n) {
        return memory(s, n * Integer.BYTES, 4);
    }
}
