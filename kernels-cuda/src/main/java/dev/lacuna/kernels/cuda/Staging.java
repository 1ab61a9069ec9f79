package dev.lacuna.kernels.cuda;

import static dev.lacuna.kernels.cuda.CudaException.check;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jcuda.Pointer;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.JCudaDriver;

/** Page-locked host memory through which everything enters and leaves the device: two halves, so that one is filled while the other travels. */
final class Staging implements AutoCloseable {
    /** Bytes of a half. */
    static final int HALF = 4 << 20;

    private final Device device;
    private final Pointer pointer = new Pointer();
    private final MemorySegment memory;
    private final CUevent[] travelled = {new CUevent(), new CUevent()};
    private int turn;

    Staging(Device device) {
        this.device = device;
        check(JCudaDriver.cuMemHostAlloc(pointer, 2L * HALF, 0), "cuMemHostAlloc of " + 2 * HALF + " bytes");
        Device.count(1);
        memory = MemorySegment.ofBuffer(pointer.getByteBuffer(0, 2L * HALF).order(ByteOrder.LITTLE_ENDIAN));
        for (CUevent e : travelled) check(JCudaDriver.cuEventCreate(e, CUevent_flags.CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    }

    /** Writes one part of what is uploaded. */
    @FunctionalInterface
    interface Filler {
        /** Writes bytes {@code from .. from + to.byteSize()} of the whole into {@code to}. */
        void fill(long from, MemorySegment to);
    }

    /** Told of each part that is on its way, its beginning and its bytes. */
    @FunctionalInterface
    interface Follower {
        void sent(long from, int bytes);
    }

    /** Uploads {@code bytes} bytes, at most a half at a time in parts of whole {@code unit}s. */
    void upload(long to, long bytes, int unit, Filler filler) {
        send(to, true, bytes, unit, filler, (from, n) -> {});
    }

    /** Sends all parts to the same place, one after another; {@code follower} launches what takes each away. */
    void through(long place, long bytes, int unit, Filler filler, Follower follower) {
        send(place, false, bytes, unit, filler, follower);
    }

    private void send(long to, boolean onward, long bytes, int unit, Filler filler, Follower follower) {
        int part = HALF / unit * unit;
        for (long at = 0; at < bytes; at += part) {
            int n = (int) Math.min(part, bytes - at);
            CUevent done = travelled[turn];
            check(JCudaDriver.cuEventSynchronize(done), "cuEventSynchronize of an upload");
            filler.fill(at, memory.asSlice((long) turn * HALF, n));
            check(JCudaDriver.cuMemcpyHtoDAsync(DevicePointer.at(onward ? to + at : to), pointer.withByteOffset((long) turn * HALF), n,
                    device.stream()), "cuMemcpyHtoDAsync of " + n + " bytes");
            check(JCudaDriver.cuEventRecord(done, device.stream()), "cuEventRecord");
            follower.sent(at, n);
            turn ^= 1;
        }
    }

    /** Uploads bytes as they are. */
    void upload(long to, MemorySegment from) {
        upload(to, from.byteSize(), 1, (at, part) -> part.copyFrom(from.asSlice(at, part.byteSize())));
    }

    /** Takes one part of what is downloaded. */
    @FunctionalInterface
    interface Taker {
        void take(long from, MemorySegment part);
    }

    /** Downloads {@code bytes} bytes in parts of whole {@code unit}s, after all work before. */
    void download(long from, long bytes, int unit, Taker taker) {
        int part = HALF / unit * unit;
        for (long at = 0; at < bytes; at += part) {
            int n = (int) Math.min(part, bytes - at);
            check(JCudaDriver.cuMemcpyDtoHAsync(pointer, DevicePointer.at(from + at), n, device.stream()),
                    "cuMemcpyDtoHAsync of " + n + " bytes");
            device.finish("cuStreamSynchronize after a download of " + n + " bytes");
            taker.take(at, memory.asSlice(0, n));
        }
    }

    @Override
    public void close() {
        for (CUevent e : travelled) check(JCudaDriver.cuEventDestroy(e), "cuEventDestroy");
        check(JCudaDriver.cuMemFreeHost(pointer), "cuMemFreeHost");
        Device.count(-1);
    }
}
