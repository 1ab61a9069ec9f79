package dev.lacuna.model;

/**
 * A model's rotary position embedding.
 *
 * @param dims        leading values of each head that rotate
 * @param base        theta
 * @param interleaved whether neighbours pair (GGUF's Llama order) or halves
 * @param scaling     how it was stretched beyond the context that it was trained with
 */
public record RopeSpec(int dims, double base, boolean interleaved, Scaling scaling) {

    /** Ways to stretch positions. */
    public sealed interface Scaling {
        /** As trained. */
        record None() implements Scaling {}

        /** Position interpolation (Chen et al., 2023): all angles divided by the factor. */
        record Linear(double factor) implements Scaling {}

        /** NTK-aware: the base grows so that the slowest pair is stretched by the factor and the fastest not at all. */
        record Ntk(double factor) implements Scaling {}

        /**
         * YaRN (Peng et al., 2023): fast pairs as trained, slow ones interpolated, a ramp between; cos and sin times {@code attention}.
         *
         * @param original  context that it was trained with
         * @param betaFast  turns over the original context above which a pair stays
         * @param betaSlow  turns below which it is interpolated
         * @param attention factor of cos and sin; 0: {@code 0.1 ln(factor) + 1}
         */
        record Yarn(double factor, int original, double betaFast, double betaSlow, double attention) implements Scaling {}

        /** Llama 3.1: pairs longer than {@code original / low} divided by the factor, shorter than {@code original / high} kept, blended between. */
        record Llama3(double factor, double low, double high, int original) implements Scaling {}

        /** A divisor for each pair, as {@code rope_freqs.weight} carries it. */
        record Divisors(float[] of) implements Scaling {}
    }

    /**
     * The table that kernels read, {@code [positions x dims / 2 x (cos, sin)]}. Frequencies and angles are rounded to single precision as transformers
     * does, so that far positions agree with it.
     */
    public float[] table(int positions) {
        int half = dims / 2;
        float[] frequency = frequencies();
        double magnitude = scaling instanceof Scaling.Yarn y ? attentionFactor(y) : 1;
        float[] table = new float[Math.multiplyExact(positions, dims)];
        for (int p = 0; p < positions; p++) {
            for (int i = 0; i < half; i++) {
                float angle = p * frequency[i];
                table[p * dims + 2 * i] = (float) (Math.cos(angle) * magnitude);
                table[p * dims + 2 * i + 1] = (float) (Math.sin(angle) * magnitude);
            }
        }
        return table;
    }

    private static double attentionFactor(Scaling.Yarn y) {
        if (y.attention != 0) return y.attention;
        return y.factor <= 1 ? 1 : 0.1 * Math.log(y.factor) + 1;
    }

    /** Radians a position of each pair. */
    float[] frequencies() {
        int half = dims / 2;
        double theta = scaling instanceof Scaling.Ntk n ? base * Math.pow(n.factor, dims / (dims - 2.0)) : base;
        float[] frequency = new float[half];
        for (int i = 0; i < half; i++) {
            double trained = 1 / Math.pow(theta, 2.0 * i / dims);
            frequency[i] = (float) switch (scaling) {
                case Scaling.None none -> trained;
                case Scaling.Ntk ntk -> trained;
                case Scaling.Linear l -> trained / l.factor;
                case Scaling.Divisors d -> (float) trained / d.of[i];
                case Scaling.Llama3 l -> llama3(trained, l);
                case Scaling.Yarn y -> yarn(trained, i, y);
            };
        }
        return frequency;
    }

    private static double llama3(double trained, Scaling.Llama3 l) {
        double wavelength = 2 * Math.PI / trained;
        if (wavelength > l.original / l.low) return trained / l.factor;
        if (wavelength < l.original / l.high) return trained;
        double smooth = (l.original / wavelength - l.low) / (l.high - l.low);
        return (1 - smooth) * trained / l.factor + smooth * trained;
    }

    private double yarn(double trained, int pair, Scaling.Yarn y) {
        double low = Math.max(Math.floor(pairOfTurns(y.betaFast, y.original)), 0);
        double high = Math.min(Math.ceil(pairOfTurns(y.betaSlow, y.original)), dims - 1);
        double ramp = Math.clamp((pair - low) / Math.max(high - low, 0.001), 0.0, 1.0);
        return trained / y.factor * ramp + trained * (1 - ramp);
    }

    /** The (fractional) pair that makes that many turns over the context. */
    private double pairOfTurns(double turns, int context) {
        return dims * Math.log(context / (turns * 2 * Math.PI)) / (2 * Math.log(base));
    }
}
