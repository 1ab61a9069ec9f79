package dev.lacuna.ops;

/**
 * RMS norms of each head before rotation.
 *
 * @param q gain {@code [headSize]} for every query head
 * @param k gain {@code [headSize]} for every key head
 */
public record HeadNorm(Values q, Values k, float eps) {}
