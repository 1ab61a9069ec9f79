package dev.lacuna.kernels.opencl;

import dev.lacuna.ops.DeviceMemoryException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongFunction;
import org.jocl.CL;
import org.jocl.Pointer;
import org.jocl.cl_command_queue;
import org.jocl.cl_mem;

/** The memory that one {@link OpenClOps} takes of its device, counted, and the way of bytes to it and back. */
final class DeviceMemory implements AutoCloseable {
    /** Bytes that a copy takes at a time, more where one row or step is larger. */
    private static final long STAGE = 4 << 20;
    private static final AtomicLong LIVE = new AtomicLong();

    /** Bytes on the device. */
    record Buffer(cl_mem mem, long bytes) {}

    private final Device device;
    private final Programs programs;
    private final cl_command_queue queue;
    private final long limit;
    private final Set<Buffer> buffers = Collections.newSetFromMap(new IdentityHashMap<>());
    private Arena arena = Arena.ofShared();
    private MemorySegment stage = arena.allocate(STAGE, 64);
    private long used;
    private boolean closed;

    DeviceMemory(Programs programs, cl_command_queue queue, long limit) {
        this.programs = programs;
        this.device = programs.device();
        this.queue = queue;
        this.limit = limit;
    }

    /** Buffers of the process that were not freed yet: what leak checks count. */
    static long live() {
        return LIVE.get();
    }

    static String mb(long bytes) {
        return Math.ceilDiv(bytes, 1L << 20) + " MB";
    }

    /**
     * Refuses what does not fit, before anything of it is allocated.
     *
     * @param largest the largest single allocation among it
     * @param hint    what would fit into so many bytes
     */
    void require(String what, long bytes, long largest, LongFunction<String> hint) {
        long free = limit - used;
        if (bytes > free) throw new DeviceMemoryException(what + " (" + hint.apply(free) + ")", bytes, free, used);
        if (largest > device.largest()) {
            String piece = ", in pieces of at most " + mb(device.largest()) + " (" + hint.apply(Math.min(free, device.largest())) + "),";
            throw new DeviceMemoryException(what + piece, largest, Math.min(free, device.largest()), used);
        }
    }

    /** Allocates zeros. */
    Buffer allocate(String what, long bytes) {
        requireOpen();
        long size = Math.max(128, bytes);
        require(what, size, size, left -> mb(left) + " would fit");
        int[] status = new int[1];
        cl_mem mem = CL.clCreateBuffer(programs.context(), CL.CL_MEM_READ_WRITE, size, null, status);
        if (status[0] != CL.CL_SUCCESS)
            throw new OpenClException("clCreateBuffer", status[0], what + ", " + mb(size) + " on " + device.name());
        Buffer buffer = new Buffer(mem, size);
        buffers.add(buffer);
        used += size;
        LIVE.incrementAndGet();
        OpenClException.check("clEnqueueFillBuffer",
                CL.clEnqueueFillBuffer(queue, mem, Pointer.to(new byte[1]), 1, 0, size, 0, null, null));
        return buffer;
    }

    void free(Buffer buffer) {
        if (!buffers.remove(buffer)) return;
        used -= buffer.bytes;
        LIVE.decrementAndGet();
        OpenClException.check("clReleaseMemObject", CL.clReleaseMemObject(buffer.mem));
    }

    long used() {
        return used;
    }

    long free() {
        return limit - used;
    }

    // ---- copies

    /** Where bytes are put before {@link #send} and found after {@link #receive}. */
    MemorySegment stage() {
        return stage;
    }

    /** Makes the stage hold at least so many bytes; what is in it is lost. */
    @SuppressWarnings("MustBeClosedChecker") // closed when outgrown, the last by close()
    void stage(long bytes) {
        if (bytes <= stage.byteSize()) return;
        arena.close();
        arena = Arena.ofShared();
        stage = arena.allocate(bytes, 64);
    }

    /** Sends the first bytes of the stage. */
    void send(Buffer to, long at, long bytes) {
        write(to, at, 0, bytes, true);
    }

    /**
     * Sends bytes from somewhere in the stage to the buffer's beginning.
     *
     * @param wait false: the bytes may not be touched until a later call has waited
     */
    void send(Buffer to, long from, long bytes, boolean wait) {
        if (bytes > 0) write(to, 0, from, bytes, wait);
    }

    private void write(Buffer to, long at, long from, long bytes, boolean wait) {
        check(to, at, bytes);
        OpenClException.check("clEnqueueWriteBuffer",
                CL.clEnqueueWriteBuffer(queue, to.mem, wait, at, bytes, pointer(from, bytes), 0, null, null));
    }

    void receive(Buffer from, long at, long bytes) {
        check(from, at, bytes);
        OpenClException.check("clEnqueueReadBuffer",
                CL.clEnqueueReadBuffer(queue, from.mem, true, at, bytes, pointer(0, bytes), 0, null, null));
    }

    private Pointer pointer(long from, long bytes) {
        return Pointer.to(stage.asSlice(from, bytes).asByteBuffer());
    }

    /** After the queue has gone every call would end the process. */
    private void requireOpen() {
        if (closed) throw new IllegalStateException("these kernels are closed");
    }

    private void check(Buffer buffer, long at, long bytes) {
        requireOpen();
        if (at < 0 || bytes < 0 || at > buffer.bytes - bytes) {
            throw new IllegalArgumentException(bytes + " bytes at " + at + " of a buffer of " + buffer.bytes);
        }
    }

    void copy(Buffer buffer, long from, long to, long bytes) {
        check(buffer, from, bytes);
        check(buffer, to, bytes);
        OpenClException.check("clEnqueueCopyBuffer", CL.clEnqueueCopyBuffer(queue, buffer.mem, buffer.mem, from, to, bytes, 0, null, null));
    }

    @Override
    public void close() {
        closed = true;
        for (Buffer buffer : List.copyOf(buffers)) free(buffer);
        arena.close();
    }
}
