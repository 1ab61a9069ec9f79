package dev.lacuna;

import dev.lacuna.hub.Progress;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.tensor.Format;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How a model is opened.
 *
 * @param context     most tokens of a conversation; 0: what the model was made for, at most {@value #DEFAULT_CONTEXT}
 * @param sessions    full contexts that the cache has room for; shorter ones share it
 * @param kernels     threads, tier and strictness
 * @param kv          packing of the cache
 * @param activations inputs of products, float formats taking F32 in the place of 8 bits; null: what the kernels are best at
 * @param weights     re-encode the matrices at load, a sparse format those of the layers alone ({@link #tables}); null: as the file has them
 * @param layers      numbers of the layers to keep, rising; null: all
 * @param template    name of a chat template for files without one ({@code chatml}, {@code alpaca}, ...); null: the file's
 * @param variables   what chat templates are told beside the messages: {@code enable_thinking}, {@code tools}, ...; plain data
 * @param progress    told of downloads and other long work
 */
public record Options(int context, int sessions, OpsOptions kernels, KvType kv, @Nullable InputPolicy activations, @Nullable Format weights,
        int @Nullable [] layers,
        @Nullable String template, Map<String, Object> variables, Progress progress) {
    /** The context where none is asked for and the model has more. */
    public static final int DEFAULT_CONTEXT = 8192;

    public static final Options DEFAULT = new Options(0, 1, OpsOptions.DEFAULT, KvType.F16, null, null, null, null,
            Map.of(), Progress.NONE);

    public Options {
        if (context < 0) throw new IllegalArgumentException("context must not be negative: " + context);
        variables = Collections.unmodifiableMap(new LinkedHashMap<>(variables));
        if (sessions < 1) throw new IllegalArgumentException("sessions must be positive: " + sessions);
    }

    /**
     * What the embedding and the output head are re-encoded in: {@link #weights}, unless that prunes, which is for the products of the layers alone
     * (SparseGPT, Frantar and Alistarh 2023; Wanda, Sun et al. 2024); null: as the file has them.
     */
    public @Nullable Format tables() {
        return weights == null || weights.prunes() ? null : weights;
    }

    public Options withContext(int tokens) {
        return new Options(tokens, sessions, kernels, kv, activations, weights, layers, template, variables, progress);
    }

    public Options withSessions(int n) {
        return new Options(context, n, kernels, kv, activations, weights, layers, template, variables, progress);
    }

    public Options withThreads(int threads) {
        return withKernels(new OpsOptions(threads, kernels.kernels(), kernels.isa(), kernels.strict(), kernels.backend()));
    }

    /** A tier by name: {@code vector}, {@code plain}, {@code reference}. */
    public Options withKernels(@Nullable String tier) {
        return withKernels(new OpsOptions(kernels.threads(), tier, kernels.isa(), kernels.strict(), kernels.backend()));
    }

    /** A provider of kernels by name: {@code cpu}, {@code cuda}, {@code opencl}. */
    public Options withBackend(@Nullable String name) {
        return withKernels(kernels.withBackend(name));
    }

    public Options withKernels(OpsOptions o) {
        return new Options(context, sessions, o, kv, activations, weights, layers, template, variables, progress);
    }

    public Options withKv(KvType type) {
        return new Options(context, sessions, kernels, type, activations, weights, layers, template, variables, progress);
    }

    public Options withActivations(@Nullable InputPolicy policy) {
        return new Options(context, sessions, kernels, kv, policy, weights, layers, template, variables, progress);
    }

    public Options withWeights(@Nullable Format format) {
        return new Options(context, sessions, kernels, kv, activations, format, layers, template, variables, progress);
    }

    public Options withLayers(int @Nullable [] keep) {
        return new Options(context, sessions, kernels, kv, activations, weights, keep, template, variables, progress);
    }

    public Options withTemplate(@Nullable String name) {
        return new Options(context, sessions, kernels, kv, activations, weights, layers, name, variables, progress);
    }

    /** Values for chat templates, such as {@code enable_thinking} or {@code tools}. */
    public Options withVariables(Map<String, Object> values) {
        return new Options(context, sessions, kernels, kv, activations, weights, layers, template, values, progress);
    }

    public Options withProgress(Progress p) {
        return new Options(context, sessions, kernels, kv, activations, weights, layers, template, variables, p);
    }
}
