package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Values;
import java.lang.foreign.MemorySegment;

/** A copy outside the heap, padded with zeros. */
record NativeValues(MemorySegment memory, int size) implements Values {}
