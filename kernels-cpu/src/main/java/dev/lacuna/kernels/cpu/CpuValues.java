package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Values;

/** A copy, padded. */
record CpuValues(float[] v, int size) implements Values {}
