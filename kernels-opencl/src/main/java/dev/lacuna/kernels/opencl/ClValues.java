package dev.lacuna.kernels.opencl;

import dev.lacuna.ops.Values;

/** Gains, biases or a table on the device. */
record ClValues(int size, DeviceMemory.Buffer data) implements Values {}
