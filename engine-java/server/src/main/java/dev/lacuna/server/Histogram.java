package dev.lacuna.server;

import java.util.concurrent.atomic.DoubleAdder;
import java.util.concurrent.atomic.LongAdder;

/** A Prometheus histogram with fixed bounds. */
final class Histogram {
    /** Seconds, as vLLM's dashboards expect them to lie. */
    static final double[] SECONDS = {0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40,
            80,
            160, 640};
    /** Tokens of a request. */
    static final double[] TOKENS = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};

    private final double[] bounds;
    private final LongAdder[] counts;
    private final DoubleAdder sum = new DoubleAdder();

    Histogram(double[] bounds) {
        this.bounds = bounds.clone();
        counts = new LongAdder[bounds.length + 1];
        for (int i = 0; i < counts.length; i++) counts[i] = new LongAdder();
    }

    void add(double value) {
        int i = 0;
        while (i < bounds.length && value > bounds[i]) i++;
        counts[i].increment();
        sum.add(value);
    }

    void write(PrometheusText to, String name, String help, String model) {
        to.type(name, "histogram", help);
        long below = 0;
        for (int i = 0; i < counts.length; i++) {
            below += counts[i].sum();
            String bound = i == bounds.length ? "+Inf" : PrometheusText.number(bounds[i]);
            to.value(name + "_bucket", (double) below, "model_name", model, "le", bound);
        }
        to.value(name + "_sum", sum.sum(), "model_name", model);
        to.value(name + "_count", (double) below, "model_name", model);
    }
}
