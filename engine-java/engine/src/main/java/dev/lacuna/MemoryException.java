package dev.lacuna;

import dev.lacuna.generate.EngineOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;

/** A cache that does not fit into memory; the message says what would. */
public final class MemoryException extends RuntimeException {
    private static final long serialVersionUID = 1;

    MemoryException(long need, long available, EngineOptions sizes) {
        super("the cache of " + sizes.sessions() + " x " + sizes.context() + " tokens in " + sizes.kv() + " needs " + mb(need) + " MB, "
                + mb(available)
                + " MB are available; a context of " + Math.max(1, (long) (sizes.context() * ((double) available / need) * 0.9))
                + " would fit (--ctx), or a smaller packing (--kv int8)");
    }

    /** A model that does not fit into its device: weights, cache and operands together. */
    static MemoryException ofDevice(long weights, long cache, long operands, long available, EngineOptions sizes) {
        long left = available - weights - operands;
        double share = 0.95 * left / cache;
        long context = (long) (sizes.context() * share);
        String cure = context >= 64
                ? "a context of " + context + " would fit (--ctx), or a smaller packing of the cache (--kv int8)"
                : "the weights alone leave no room for a context: choose smaller weights (--weights Q4_0)";
        return new MemoryException(
                "the device has " + mb(available) + " MB free, and needed are " + mb(weights + cache + operands) + " MB: weights "
                        + mb(weights) + ", the cache of " + sizes.sessions() + " x " + sizes.context() + " tokens in " + sizes.kv() + " "
                        + mb(cache)
                        + ", operands " + mb(operands) + "; " + cure + ", or --backend cpu");
    }

    private MemoryException(String message) {
        super(message);
    }

    static MemoryException of(String what, long need, long available) {
        return new MemoryException("a cache of " + what + " needs " + mb(need) + " MB, " + mb(available)
                + " MB are available; fewer of either would fit, or a smaller packing (--kv int8)");
    }

    private static long mb(long bytes) {
        return (Math.max(0, bytes) + (1 << 20) - 1) >> 20;
    }

    /** Memory that can be had without swapping, where the system says so. */
    static OptionalLong available() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
                if (line.startsWith("MemAvailable:")) return OptionalLong.of(Long.parseLong(line.replaceAll("\\D", "")) << 10);
            }
        } catch (IOException | NumberFormatException e) {
            return OptionalLong.empty(); // not Linux: the allocation itself will tell
        }
        return OptionalLong.empty();
    }
}
