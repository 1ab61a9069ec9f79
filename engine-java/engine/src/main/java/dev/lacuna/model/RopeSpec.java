package dev.lacuna.model;

/**
 * A rotary position embedding.
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
         * NTK-aware by as much as the context that a model is opened with needs.
         *
         * @param original context that it was trained with, up to which nothing is stretched
         */
        record Dynamic(double factor, int original) implements Scaling {}

        /**
         * YaRN (Peng et al., 2023): fast pairs as trained, slow ones interpolated, a ramp between; cos and sin times {@code attention}.
         *
         * @param original  context that it was trained with
         * @param betaFast  turns over the original context above which a pair stays
         * @param betaSlow  turns below which it is interpolated
         * @param truncate  whether the ramp begins and ends at whole pairs
         * @param attention factor of cos and sin; 0: {@code 0.1 ln(factor) + 1}
         */
        record Yarn(double factor, int original, double betaFast, double betaSlow, boolean truncate, double attention) implements Scaling {}

        /** Llama 3.1: pairs longer than {@code original / low} divided by the factor, shorter than {@code original / high} kept, blended between. */
        record Llama3(double factor, double low, double high, int original) implements Scaling {}

        /** A divisor for each pair, as {@code rope_freqs.weight} carries it. */
        @SuppressWarnings("ArrayRecordComponent") // the file's, never compared by content
        record Divisors(float[] of) implements Scaling {}

        /**
         * LongRoPE (Ding et al., 2024): one divisor for each pair up to the original context, another beyond; which of them is decided by the context
         * that the model is opened with, so that cached keys never change their meaning.
         *
         * @param attention factor of cos and sin
         */
        @SuppressWarnings("ArrayRecordComponent") // the file's, never compared by content
        record LongRope(float[] shorter, float[] longer, int original, double attention) implements Scaling {}
    }

    /** The same embedding, stretched in another way. */
    public RopeSpec withScaling(Scaling s) {
        return new RopeSpec(dims, base, interleaved, s);
    }

    /**
     * The table that kernels read, {@code [positions x dims / 2 x (cos, sin)]}. Frequencies and angles are rounded to single precision where
     * transformers rounds them: at position 8,192 the last bit of a frequency is an angle of 5e-4.
     */
    public float[] table(int positions) {
        int half = dims / 2;
        float[] frequency = frequencies(positions);
        float magnitude = (float) magnitude();
        float[] table = new float[Math.multiplyExact(positions, dims)];
        for (int p = 0; p < positions; p++) {
            for (int i = 0; i < half; i++) {
                float angle = p * frequency[i];
                table[p * dims + 2 * i] = (float) Math.cos(angle) * magnitude;
                table[p * dims + 2 * i + 1] = (float) Math.sin(angle) * magnitude;
            }
        }
        return table;
    }

    private double magnitude() {
        return switch (scaling) {
            case Scaling.Yarn y when y.attention != 0 -> y.attention;
            case Scaling.Yarn y -> y.factor <= 1 ? 1 : 0.1 * Math.log(y.factor) + 1;
            case Scaling.LongRope l -> l.attention;
            default -> 1;
        };
    }

    /**
     * Radians a position of each pair.
     *
     * @param positions the context that the model is opened with
     */
    float[] frequencies(int positions) {
        float[] frequency = new float[dims / 2];
        for (int i = 0; i < frequency.length; i++) {
            float wavelength = wavelength(i, positions); // over 2 pi
            float trained = 1 / wavelength;
            frequency[i] = switch (scaling) {
                case Scaling.None none -> trained;
                case Scaling.Ntk ntk -> trained;
                case Scaling.Dynamic d -> trained;
                case Scaling.Linear l -> trained / (float) l.factor;
                case Scaling.Divisors d -> trained / d.of[i];
                case Scaling.LongRope l -> 1 / ((positions > l.original ? l.longer : l.shorter)[i] * wavelength);
                case Scaling.Llama3 l -> llama3(trained, l);
                case Scaling.Yarn y -> yarn(wavelength, i, y);
            };
        }
        return frequency;
    }

    private float wavelength(int pair, int positions) {
        double theta = switch (scaling) {
            case Scaling.Ntk n -> base * Math.pow(n.factor, dims / (dims - 2.0));
            case Scaling.Dynamic d when positions > d.original ->
                base * Math.pow(d.factor * positions / d.original - (d.factor - 1), dims / (dims - 2.0));
            default -> base;
        };
        return (float) Math.pow((float) theta, (float) (2 * pair) / dims);
    }

    private static float llama3(float trained, Scaling.Llama3 l) {
        float wavelength = (float) (2 * Math.PI) / trained;
        if (wavelength > l.original / l.low) return trained / (float) l.factor;
        if (wavelength < l.original / l.high) return trained;
        float smooth = (l.original / wavelength - (float) l.low) / (float) (l.high - l.low);
        return (1 - smooth) * trained / (float) l.factor + smooth * trained;
    }

    private float yarn(float wavelength, int pair, Scaling.Yarn y) {
        double low = pairOfTurns(y.betaFast, y.original);
        double high = pairOfTurns(y.betaSlow, y.original);
        low = Math.max(y.truncate ? Math.floor(low) : low, 0);
        high = Math.min(y.truncate ? Math.ceil(high) : high, dims - 1);
        if (low == high) high += 0.001;
        float ramp = Math.clamp((pair - (float) low) / (float) (high - low), 0f, 1f);
        float kept = 1 - ramp;
        return 1 / ((float) y.factor * wavelength) * (1 - kept) + 1 / wavelength * kept;
    }

    /** The (fractional) pair that makes that many turns over the context. */
    private double pairOfTurns(double turns, int context) {
        return dims * Math.log(context / (turns * 2 * Math.PI)) / (2 * Math.log(base));
    }
}
