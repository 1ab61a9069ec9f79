package dev.lacuna.kernels.cuda;

import static dev.lacuna.kernels.cuda.CudaException.check;

import dev.lacuna.ops.DeviceMemoryException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/** A device, its context and the one stream that everything runs on. Whoever calls the driver enters first, since a context belongs to a thread. */
final class Device implements AutoCloseable {
    /** System property: the most bytes of device memory to use, for a device that is shared; the device's own memory where it is not set. */
    static final String MEMORY = "lacuna.cuda.memory";

    /** The first driver that takes PTX 8.5, which has the products of 2:4 weights. */
    private static final int SPARSE = 12050;

    /** Allocations of this process that were not freed: what leak checks count. */
    private static final AtomicInteger LIVE = new AtomicInteger();

    private final CUdevice device = new CUdevice();
    private final CUcontext context = new CUcontext();
    private final CUstream stream = new CUstream();
    private final boolean emulated;
    private final int multiprocessors;
    private final boolean sparse;
    private final long most = Long.getLong(MEMORY, Long.MAX_VALUE);
    private final Map<Long, Long> sizes = new HashMap<>();
    private long used;
    private boolean closed;

    Device(boolean emulated) {
        this.emulated = emulated;
        JCudaDriver.setExceptionsEnabled(false);
        check(JCudaDriver.cuInit(0), "cuInit");
        check(JCudaDriver.cuDeviceGet(device, 0), "cuDeviceGet(0)");
        check(JCudaDriver.cuDevicePrimaryCtxRetain(context, device), "cuDevicePrimaryCtxRetain");
        try {
            enter();
            check(JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING), "cuStreamCreate");
            multiprocessors = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
            int[] driver = new int[1];
            check(JCudaDriver.cuDriverGetVersion(driver), "cuDriverGetVersion");
            sparse = driver[0] >= SPARSE;
        } catch (Throwable t) {
            int _ = JCudaDriver.cuDevicePrimaryCtxRelease(device);
            throw t;
        }
    }

    /** Device allocations, pinned ones and graphs that nobody has freed yet. */
    static int live() {
        return LIVE.get();
    }

    static void count(int change) {
        LIVE.addAndGet(change);
    }

    private int attribute(int attribute) {
        int[] value = new int[1];
        check(JCudaDriver.cuDeviceGetAttribute(value, attribute, device), "cuDeviceGetAttribute(" + attribute + ")");
        return value[0];
    }

    /** Compute capability, as {@code 10 * major + minor}. */
    int capability() {
        enter();
        return 10 * attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
                + attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    }

    /** Makes the context this thread's. */
    void enter() {
        if (closed) throw new IllegalStateException("these kernels are closed");
        check(JCudaDriver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
    }

    boolean emulated() {
        return emulated;
    }

    int multiprocessors() {
        return multiprocessors;
    }

    /** Whether the driver knows sparse tensor cores as the kernels use them. */
    boolean sparse() {
        return sparse;
    }

    CUstream stream() {
        return stream;
    }

    /** Waits for all work, whose errors come out here. */
    void finish(String what) {
        check(JCudaDriver.cuStreamSynchronize(stream), what);
    }

    /** Bytes that can still be had. */
    long available() {
        long[] free = new long[1];
        long[] total = new long[1];
        check(JCudaDriver.cuMemGetInfo(free, total), "cuMemGetInfo");
        return Math.min(free[0], most - used);
    }

    /**
     * Allocates, after asking whether there is room.
     *
     * @param what what it is for, in words that an error can use
     */
    long allocate(long bytes, String what) {
        long size = Math.max(256, bytes);
        long available = available();
        if (size > available) throw new DeviceMemoryException(what, size, available, used);
        DevicePointer at = new DevicePointer();
        int code = JCudaDriver.cuMemAlloc(at, size);
        if (code == CUresult.CUDA_ERROR_OUT_OF_MEMORY) throw new DeviceMemoryException(what, size, available, used);
        check(code, "cuMemAlloc of " + size + " bytes for " + what);
        sizes.put(at.address(), size);
        used += size;
        LIVE.incrementAndGet();
        return at.address();
    }

    void free(long address) {
        Long size = sizes.remove(address);
        if (size == null) throw new IllegalStateException("nothing was allocated at " + Long.toHexString(address));
        used -= size;
        LIVE.decrementAndGet();
        check(JCudaDriver.cuMemFree(DevicePointer.at(address)), "cuMemFree");
    }

    /** Bytes allocated here and not freed. */
    long used() {
        return used;
    }

    void zero(long address, long bytes) {
        if (bytes == 0) return;
        check(JCudaDriver.cuMemsetD8Async(DevicePointer.at(address), (byte) 0, bytes, stream), "cuMemsetD8Async of " + bytes + " bytes");
    }

    void copy(long from, long to, long bytes) {
        if (bytes == 0) return;
        check(JCudaDriver.cuMemcpyDtoDAsync(DevicePointer.at(to), DevicePointer.at(from), bytes, stream),
                "cuMemcpyDtoDAsync of " + bytes + " bytes");
    }

    @Override
    public void close() {
        if (closed) return;
        enter();
        for (Long address : List.copyOf(sizes.keySet())) free(address);
        check(JCudaDriver.cuStreamDestroy(stream), "cuStreamDestroy");
        closed = true;
        check(JCudaDriver.cuDevicePrimaryCtxRelease(device), "cuDevicePrimaryCtxRelease");
    }
}
