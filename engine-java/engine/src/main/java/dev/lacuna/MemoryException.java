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

    private MemoryException(String message) {
        super(message);
    }

    static MemoryException of(String what, long need, long available) {
        return new MemoryException("a cache of " + what + " needs " + mb(need) + " MB, " + mb(available)
                + " MB are available; fewer of either would fit, or a smaller packing (--kv int8)");
    }

    private static long mb(long bytes) {
        return (bytes + (1 << 20) - 1) >> 20;
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
