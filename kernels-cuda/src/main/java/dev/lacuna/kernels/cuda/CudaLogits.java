package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Logits;

/** Scores on the device, and how many rows of them the last step wrote. */
final class CudaLogits implements Logits {
    private final int vocabulary;
    private final long address;
    private int rows;

    CudaLogits(int vocabulary, CudaWorkspace room) {
        this.vocabulary = vocabulary;
        address = room.zeros(Math.multiplyExact((long) room.limits().logitRows(), (long) stride() * Float.BYTES),
                "logits of " + room.limits().logitRows() + " x " + vocabulary);
    }

    @Override
    public int vocabulary() {
        return vocabulary;
    }

    int stride() {
        return Sizes.stride(vocabulary);
    }

    long address() {
        return address;
    }

    int rows() {
        return rows;
    }

    void written(int n) {
        rows = n;
    }
}
