package dev.lacuna.ops;

import org.jspecify.annotations.Nullable;

/**
 * How a projection is composed.
 *
 * @param weight {@code [out x in]}
 * @param bias   {@code [out]}, or null
 */
public record Linear(Weight weight, @Nullable Values bias) {}
