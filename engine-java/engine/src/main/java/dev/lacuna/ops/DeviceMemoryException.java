package dev.lacuna.ops;

/** Something does not fit into the memory of the device; the message says what would. */
public final class DeviceMemoryException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /**
     * Says what is missing.
     *
     * @param what      what was to be placed
     * @param need      its bytes
     * @param available bytes that can still be had
     * @param used      bytes that these kernels already have
     */
    public DeviceMemoryException(String what, long need, long available, long used) {
        super(what + " needs " + mb(need) + " MB of device memory, " + mb(available) + " MB are free beside the " + mb(used)
                + " MB that this model already has: a smaller context (--ctx), a smaller cache (--kv int8) or smaller weights (--weights Q4_0)"
                + " would fit, or --backend cpu");
    }

    private static long mb(long bytes) {
        return (Math.max(0, bytes) + (1 << 20) - 1) >> 20;
    }
}
