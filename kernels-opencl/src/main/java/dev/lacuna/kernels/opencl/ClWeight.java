package dev.lacuna.kernels.opencl;

import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.Weight;
import dev.lacuna.tensor.Format;

/** A matrix on the device. */
record ClWeight(int rows, int cols, Layout layout, InputPolicy policy, DeviceMemory.Buffer data) implements Weight {
    @Override
    public Format format() {
        return layout.format();
    }

    @Override
    public long bytes() {
        return data.bytes();
    }

    long scalesAt() {
        return layout.scalesAt(rows, cols);
    }

    long zerosAt() {
        return layout.zerosAt(rows, cols);
    }
}
