package dev.lacuna.ops;

import org.jspecify.annotations.Nullable;

/**
 * A norm over the columns of a row.
 *
 * @param kind RMS: {@code x / sqrt(mean(x^2) + eps) * gain}; LAYER: {@code (x - mean) / sqrt(var + eps) * gain + bias}
 * @param bias null: none
 */
public record Norm(Kind kind, Values gain, @Nullable Values bias, float eps) {
    /** Root mean square (Zhang and Sennrich, 2019) or layer norm (Ba et al., 2016). */
    public enum Kind {
        RMS, LAYER
    }

    public static Norm rms(Values gain, float eps) {
        return new Norm(Kind.RMS, gain, null, eps);
    }
}
