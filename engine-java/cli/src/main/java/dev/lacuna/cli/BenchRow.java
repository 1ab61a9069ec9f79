package dev.lacuna.cli;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.DoubleStream;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * What one test gave.
 *
 * @param how       how it ran: what all rows of a model and a thread count say alike
 * @param test      what was run
 * @param nanos     one for each repetition
 * @param bytes     bytes of weights that a repetition read
 * @param multiplies multiply-adds of a repetition's products
 * @param ceilings  what the machine gave beside them; null: not known
 * @param quality   perplexity by the path of this row; null: not measured
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record BenchRow(Map<String, Object> how, BenchTest test, long[] nanos, double bytes, double multiplies, @Nullable Ceilings ceilings,
        @Nullable Double quality) {

    /**
     * Rates of the machine, medians over the repetitions.
     *
     * @param readModel bytes a second of a buffer of the model's size
     * @param readLarge bytes a second of 1 GiB
     * @param int8      8-bit operations a second
     */
    record Ceilings(double readModel, double readLarge, double int8) {}

    /** The middle value, of an even number the mean of the middle two. */
    static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return (sorted[(sorted.length - 1) / 2] + sorted[sorted.length / 2]) / 2;
    }

    static double mean(double[] values) {
        return DoubleStream.of(values).average().orElse(Double.NaN);
    }

    /** Standard deviation of a sample; 0 of one value. */
    static double deviation(double[] values) {
        if (values.length < 2) return 0;
        double mean = mean(values);
        return Math.sqrt(DoubleStream.of(values).map(v -> (v - mean) * (v - mean)).sum() / (values.length - 1));
    }

    /** Tokens a second of each repetition, all sequences together. */
    double[] rates() {
        return LongStream.of(nanos).mapToDouble(n -> test.tokens() * 1e9 / n).toArray();
    }

    private double medianSeconds() {
        return median(LongStream.of(nanos).asDoubleStream().toArray()) / 1e9;
    }

    double bytesPerSecond() {
        return bytes / medianSeconds();
    }

    double operationsPerSecond() {
        return 2 * multiplies / medianSeconds();
    }

    /** The columns of a table for people. */
    Map<String, String> columns() {
        double[] rates = rates();
        Map<String, String> c = new LinkedHashMap<>();
        c.put("model", String.valueOf(how.get("model")));
        c.put("size", Size.of(((Number) how.getOrDefault("model_size", 0)).longValue()));
        c.put("params", millions(((Number) how.getOrDefault("model_n_params", 0)).longValue()));
        c.put("kernels", String.valueOf(how.get("kernels")));
        Object few = how.get("input_few");
        Object many = how.get("input_many");
        c.put("input", few == null || few.equals(many) ? String.valueOf(many) : few + " / " + many);
        c.put("kv", String.valueOf(how.get("type_k")));
        c.put("threads", String.valueOf(how.get("n_threads")));
        c.put("test", test.name());
        c.put("t/s", text(mean(rates)) + " ± " + text(deviation(rates)));
        c.put("median", text(median(rates)));
        c.put("min-max", text(DoubleStream.of(rates).min().orElseThrow()) + "-" + text(DoubleStream.of(rates).max().orElseThrow()));
        c.put("GB/s", text(bytesPerSecond() / 1e9));
        c.put("of read, model / 1 GiB",
                ceilings == null ? "" : share(bytesPerSecond(), ceilings.readModel) + " / " + share(bytesPerSecond(), ceilings.readLarge));
        c.put("Gop/s", text(operationsPerSecond() / 1e9));
        c.put("of int8", ceilings == null ? "" : share(operationsPerSecond(), ceilings.int8));
        c.put("perplexity", quality == null ? "" : String.format(Locale.ROOT, "%.4f", quality));
        return c;
    }

    private static String text(double v) {
        return String.format(Locale.ROOT, v >= 100 ? "%.1f" : "%.2f", v);
    }

    private static String millions(long n) {
        return String.format(Locale.ROOT, n >= 1_000_000_000L ? "%.2f B" : "%.2f M", n >= 1_000_000_000L ? n / 1e9 : n / 1e6);
    }

    private static String share(double of, double all) {
        return String.format(Locale.ROOT, "%.0f %%", 100 * of / all);
    }

    /** Everything, under llama-bench's names where it has one. */
    Map<String, @Nullable Object> fields() {
        double[] rates = rates();
        double[] spans = LongStream.of(nanos).asDoubleStream().toArray();
        Map<String, @Nullable Object> f = new LinkedHashMap<>(how);
        f.put("test", test.name());
        f.put("n_prompt", test.prompt() ? test.length() : 0);
        f.put("n_gen", test.prompt() ? 0 : test.length());
        f.put("n_depth", test.depth());
        f.put("n_seqs", test.sequences());
        f.put("avg_ns", Math.round(mean(spans)));
        f.put("stddev_ns", Math.round(deviation(spans)));
        f.put("avg_ts", mean(rates));
        f.put("stddev_ts", deviation(rates));
        f.put("median_ts", median(rates));
        f.put("min_ts", DoubleStream.of(rates).min().orElseThrow());
        f.put("max_ts", DoubleStream.of(rates).max().orElseThrow());
        f.put("bytes_per_token", bytes / test.tokens());
        f.put("bytes_per_second", bytesPerSecond());
        f.put("read_model_bytes_per_second", ceilings == null ? null : ceilings.readModel);
        f.put("read_1gib_bytes_per_second", ceilings == null ? null : ceilings.readLarge);
        f.put("share_of_read_model", ceilings == null ? null : bytesPerSecond() / ceilings.readModel);
        f.put("share_of_read_1gib", ceilings == null ? null : bytesPerSecond() / ceilings.readLarge);
        f.put("ops_per_second", operationsPerSecond());
        f.put("int8_ops_per_second", ceilings == null ? null : ceilings.int8);
        f.put("share_of_int8", ceilings == null ? null : operationsPerSecond() / ceilings.int8);
        f.put("perplexity", quality);
        f.put("samples_ns", nanos);
        f.put("samples_ts", rates);
        return f;
    }
}
