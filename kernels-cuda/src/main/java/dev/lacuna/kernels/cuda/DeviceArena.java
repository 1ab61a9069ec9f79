package dev.lacuna.kernels.cuda;

import java.util.ArrayList;
import java.util.List;

/** Memory of many operands in few allocations, freed at once. */
final class DeviceArena implements AutoCloseable {
    private static final int ALIGNMENT = 256;
    private static final long CHUNK = 8L << 20;

    private final Device device;
    private final List<Long> chunks = new ArrayList<>();
    private long at;
    private long left;
    private long bytes;

    DeviceArena(Device device) {
        this.device = device;
    }

    /** Zeros, aligned to 256 bytes. */
    long zeros(long size, String what) {
        long n = Sizes.align(Math.max(1, size), ALIGNMENT);
        // each operand by itself where the device checks every access: a neighbour would hide one that is out of bounds
        if (device.emulated() || n > CHUNK / 2) return chunk(size, what);
        if (n > left) {
            at = chunk(CHUNK, what);
            left = CHUNK;
        }
        long address = at;
        at += n;
        left -= n;
        return address;
    }

    private long chunk(long size, String what) {
        long address = device.allocate(size, what);
        chunks.add(address);
        bytes += size;
        device.zero(address, size);
        return address;
    }

    long bytes() {
        return bytes;
    }

    @Override
    public void close() {
        chunks.forEach(device::free);
        chunks.clear();
        left = 0;
    }
}
