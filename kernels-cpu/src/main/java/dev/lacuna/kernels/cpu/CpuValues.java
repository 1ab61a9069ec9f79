package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Values;

/** A copy, padded. */
@SuppressWarnings("ArrayRecordComponent") // never compared
record CpuValues(float[] v, int size) implements Values {}
