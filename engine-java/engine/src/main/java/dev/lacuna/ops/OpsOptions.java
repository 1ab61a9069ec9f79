package dev.lacuna.ops;

import org.jspecify.annotations.Nullable;

/**
 * How kernels are to be opened.
 *
 * @param threads threads of the team, the caller's among them; 0: one for each processor
 * @param kernels tier by name ({@code native}, {@code vector}, {@code plain}, {@code reference}), or null for the best that runs here
 * @param isa     instruction set that native kernels are capped at ({@code avx2}, {@code avx512}, {@code avx512bf16}, {@code amx}), or null for the
 *                best
 * @param strict  whether a fallback to a slower tier is an error
 * @param backend provider by name ({@code cpu}, {@code cuda}, {@code opencl}) whose tiers alone are looked at, or null for all
 */
public record OpsOptions(int threads, @Nullable String kernels, @Nullable String isa, boolean strict, @Nullable String backend) {
    public static final OpsOptions DEFAULT = new OpsOptions(0, null, false);

    public OpsOptions(int threads, @Nullable String kernels, boolean strict) {
        this(threads, kernels, null, strict);
    }

    public OpsOptions(int threads, @Nullable String kernels, @Nullable String isa, boolean strict) {
        this(threads, kernels, isa, strict, null);
    }

    public OpsOptions {
        if (threads < 0 || threads > 1024) throw new IllegalArgumentException("threads must be 0 (all processors) to 1024, not " + threads);
    }

    public OpsOptions withBackend(@Nullable String name) {
        return new OpsOptions(threads, kernels, isa, strict, name);
    }

    public int threadsOrAll() {
        return threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
    }
}
