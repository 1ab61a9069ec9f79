package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.TopK;

/** The best tokens on the device, scratch to find them, and how many rows the last step wrote. */
final class CudaTopK implements TopK {
    private final int k;
    private final long address;
    private final long scratch;
    private int rows;

    CudaTopK(int k, CudaWorkspace room) {
        this.k = k;
        long n = Math.multiplyExact((long) room.limits().logitRows(), k);
        address = room.zeros(n * Integer.BYTES, "the best " + k + " tokens");
        scratch = k == 1 ? 0 : room.zeros(n * Long.BYTES, "scratch of the best " + k + " tokens");
    }

    @Override
    public int k() {
        return k;
    }

    long address() {
        return address;
    }

    long scratch() {
        return scratch;
    }

    int rows() {
        return rows;
    }

    void written(int n) {
        rows = n;
    }
}
