package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.RowSet;

/** Chosen rows and their number, both on the device. */
final class CudaRowSet implements RowSet {
    private final int capacity;
    private final long count;
    private final long active;

    CudaRowSet(int capacity, CudaWorkspace room) {
        this.capacity = capacity;
        count = room.zeros(Integer.BYTES, "the size of a set of rows");
        active = room.zeros((long) capacity * Integer.BYTES, "a set of " + capacity + " rows");
    }

    @Override
    public int capacity() {
        return capacity;
    }

    long count() {
        return count;
    }

    long active() {
        return active;
    }
}
