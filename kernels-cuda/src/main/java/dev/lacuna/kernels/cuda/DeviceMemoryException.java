package dev.lacuna.kernels.cuda;

/** Something does not fit into the device's memory; the message says what would. */
public final class DeviceMemoryException extends RuntimeException {
    private static final long serialVersionUID = 1;

    DeviceMemoryException(String what, long need, long available, long used) {
        super(what + " needs " + mb(need) + " MB of device memory, " + mb(available) + " MB are free beside the " + mb(used)
                + " MB that this model already has: a smaller context (--ctx), a smaller cache (--kv int8) or smaller weights (--weights Q4_0)"
                + " would fit, or --backend cpu");
    }

    private static long mb(long bytes) {
        return (Math.max(0, bytes) + (1 << 20) - 1) >> 20;
    }
}
