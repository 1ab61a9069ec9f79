package dev.lacuna.server;

import dev.lacuna.Lacuna;
import dev.lacuna.generate.EngineStats;
import dev.lacuna.generate.FinishReason;
import dev.lacuna.generate.Result;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.DoubleAdder;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;

/**
 * What a model's users may graph, by the names that vLLM and llama-server gave them. Requests are accounted for: accepted = completed + cancelled +
 * failed + those under way.
 */
final class ModelMetrics {
    final LongAdder accepted = new LongAdder();
    final LongAdder completed = new LongAdder();
    final LongAdder cancelled = new LongAdder();
    final LongAdder failed = new LongAdder();
    final LongAdder refused = new LongAdder();
    private final LongAdder promptTokens = new LongAdder();
    private final LongAdder cachedTokens = new LongAdder();
    private final LongAdder outputTokens = new LongAdder();
    private final DoubleAdder promptSeconds = new DoubleAdder();
    private final DoubleAdder outputSeconds = new DoubleAdder();
    private final Map<FinishReason, LongAdder> finished = new EnumMap<>(FinishReason.class);
    private final Histogram firstToken = new Histogram(Histogram.SECONDS);
    private final Histogram perToken = new Histogram(Histogram.SECONDS);
    private final Histogram latency = new Histogram(Histogram.SECONDS);
    private final Histogram queued = new Histogram(Histogram.SECONDS);
    private final Histogram prefill = new Histogram(Histogram.SECONDS);
    private final Histogram decode = new Histogram(Histogram.SECONDS);
    private final Histogram prompts = new Histogram(Histogram.TOKENS);
    private final Histogram outputs = new Histogram(Histogram.TOKENS);

    ModelMetrics() {
        for (FinishReason r : FinishReason.values()) finished.put(r, new LongAdder());
    }

    /** A generation has ended. */
    void add(Result r) {
        Result.Timings t = r.timings();
        promptTokens.add(r.promptIds().length);
        cachedTokens.add(r.cachedTokens());
        outputTokens.add(t.outputRows());
        promptSeconds.add(t.prefill() * 1e-9);
        outputSeconds.add(t.decode() * 1e-9);
        finished.getOrDefault(r.finishReason(), failed).increment();
        queued.add(t.queued() * 1e-9);
        latency.add((t.queued() + t.prefill() + t.decode()) * 1e-9);
        prompts.add(r.promptIds().length);
        outputs.add(t.outputRows());
        if (t.outputRows() == 0) return;
        prefill.add(t.prefill() * 1e-9);
        decode.add(t.decode() * 1e-9);
        firstToken.add((t.queued() + t.prefill()) * 1e-9);
        if (t.outputRows() > 1) perToken.add(t.decode() * 1e-9 / (t.outputRows() - 1));
    }

    void write(PrometheusText to, String model, @Nullable Lacuna open) {
        EngineStats now = open == null ? new EngineStats(0, 0, 0, 0, 0) : open.stats();
        double use = now.blocks() == 0 ? 0 : (double) now.blocksInUse() / now.blocks();
        gauge(to, "vllm:num_requests_running", "Generations whose tokens are being computed", now.running(), model);
        gauge(to, "vllm:num_requests_waiting", "Generations that wait for their turn", now.waiting(), model);
        gauge(to, "vllm:kv_cache_usage_perc", "Share of the cache that running generations hold (1: all)", use, model);
        gauge(to, "vllm:gpu_cache_usage_perc", "The same by its older name", use, model);
        counter(to, "vllm:prompt_tokens_total", "Prompt tokens, cached ones among them", count(promptTokens), model);
        counter(to, "vllm:generation_tokens_total", "Generated tokens", count(outputTokens), model);
        counter(to, "vllm:prefix_cache_queries_total", "Prompt tokens that were looked for in the cache", count(promptTokens), model);
        counter(to, "vllm:prefix_cache_hits_total", "Prompt tokens that were found in the cache", count(cachedTokens), model);
        to.type("vllm:request_success_total", "counter", "Generations by how they ended");
        finished.forEach((reason, n) -> to.value("vllm:request_success_total", count(n), "model_name", model, "finished_reason",
                reason == FinishReason.CANCELLED ? "abort" : reason.name().toLowerCase(Locale.ROOT)));
        firstToken.write(to, "vllm:time_to_first_token_seconds", "From the request to its first token", model);
        perToken.write(to, "vllm:time_per_output_token_seconds", "Between two tokens, the mean of a generation", model);
        perToken.write(to, "vllm:request_time_per_output_token_seconds", "The same by its newer name", model);
        latency.write(to, "vllm:e2e_request_latency_seconds", "From the request to its last token", model);
        queued.write(to, "vllm:request_queue_time_seconds", "Waiting for a turn", model);
        prefill.write(to, "vllm:request_prefill_time_seconds", "From the first step to the first token", model);
        decode.write(to, "vllm:request_decode_time_seconds", "From the first token to the last", model);
        prompts.write(to, "vllm:request_prompt_tokens", "Prompt tokens of a generation", model);
        outputs.write(to, "vllm:request_generation_tokens", "Generated tokens of a generation", model);

        counter(to, "llamacpp:prompt_tokens_total", "Prompt tokens, cached ones among them", count(promptTokens), model);
        counter(to, "llamacpp:prompt_seconds_total", "Time in prompts", promptSeconds.sum(), model);
        counter(to, "llamacpp:tokens_predicted_total", "Generated tokens", count(outputTokens), model);
        counter(to, "llamacpp:tokens_predicted_seconds_total", "Time in generation", outputSeconds.sum(), model);
        gauge(to, "llamacpp:prompt_tokens_seconds", "Prompt tokens a second",
                rate(count(promptTokens) - count(cachedTokens), promptSeconds.sum()),
                model);
        gauge(to, "llamacpp:predicted_tokens_seconds", "Generated tokens a second and generation",
                rate(count(outputTokens), outputSeconds.sum()),
                model);
        gauge(to, "llamacpp:kv_cache_usage_ratio", "Share of the cache that running generations hold (1: all)", use, model);
        gauge(to, "llamacpp:requests_processing", "Generations whose tokens are being computed", now.running(), model);
        gauge(to, "llamacpp:requests_deferred", "Generations that wait for their turn", now.waiting(), model);

        gauge(to, "lacuna_model_loaded", "1 while the model is in memory", open == null ? 0 : 1, model);
        gauge(to, "lacuna_cache_blocks", "Blocks of the cache", now.blocks(), model);
        gauge(to, "lacuna_cache_blocks_in_use", "Blocks that running generations hold", now.blocksInUse(), model);
        gauge(to, "lacuna_cache_blocks_cached", "Blocks with prefixes that nobody uses just now", now.blocksCached(), model);
        to.type("lacuna_requests_total", "counter", "Requests for text; accepted = completed + cancelled + failed + those under way");
        outcome(to, model, "accepted", accepted);
        outcome(to, model, "completed", completed);
        outcome(to, model, "cancelled", cancelled);
        outcome(to, model, "failed", failed);
        outcome(to, model, "refused", refused);
    }

    private static double count(LongAdder n) {
        return (double) n.sum();
    }

    private static double rate(double tokens, double seconds) {
        return seconds <= 0 ? 0 : tokens / seconds;
    }

    private static void outcome(PrometheusText to, String model, String name, LongAdder n) {
        to.value("lacuna_requests_total", count(n), "model_name", model, "outcome", name);
    }

    private static void gauge(PrometheusText to, String name, String help, double value, String model) {
        to.single(name, "gauge", help, value, "model_name", model);
    }

    private static void counter(PrometheusText to, String name, String help, double value, String model) {
        to.single(name, "counter", help, value, "model_name", model);
    }
}
