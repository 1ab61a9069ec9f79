package dev.lacuna.kernels.opencl;

import dev.lacuna.ops.RowSet;

/** Chosen rows on the device: their number and, behind it, their indices. */
record ClRowSet(int capacity, DeviceMemory.Buffer data) implements RowSet {
    ClRowSet(int capacity, DeviceMemory memory) {
        this(capacity, memory.allocate("a set of " + capacity + " rows", (1L + capacity) * Integer.BYTES));
    }
}
