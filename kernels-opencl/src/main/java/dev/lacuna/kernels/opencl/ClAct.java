package dev.lacuna.kernels.opencl;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import org.jspecify.annotations.Nullable;

/**
 * An activation on the device: floats in rows of whole blocks of 32, and where its policy packs, signed bytes in the same order and for each block
 * its scale and the sum of its codes.
 */
final class ClAct implements Act {
    private final int cols;
    private final InputPolicy policy;
    private final DeviceMemory.Buffer floats;
    private final DeviceMemory.@Nullable Buffer codes;
    private final DeviceMemory.@Nullable Buffer scales;
    private Input packed;

    ClAct(int rows, int cols, InputPolicy policy, DeviceMemory memory) {
        this.cols = cols;
        this.policy = policy;
        packed = policy.fewRows();
        long values = Math.multiplyExact((long) rows, stride(cols));
        floats = memory.allocate("an activation of %d x %d".formatted(rows, cols), Math.multiplyExact(values, Float.BYTES));
        if (packs(policy)) {
            codes = memory.allocate("an activation of %d x %d".formatted(rows, cols), values);
            scales = memory.allocate("an activation of %d x %d".formatted(rows, cols), values / Layout.BLOCK * 2 * Float.BYTES);
        } else {
            codes = null;
            scales = null;
        }
    }

    private static boolean packs(InputPolicy policy) {
        return policy.fewRows() instanceof Input.I8 || policy.manyRows() instanceof Input.I8;
    }

    private static int stride(int cols) {
        return Math.multiplyExact(Layout.blocks(cols), Layout.BLOCK);
    }

    @Override
    public int cols() {
        return cols;
    }

    @Override
    public InputPolicy policy() {
        return policy;
    }

    /** Values from one row to the next. */
    int stride() {
        return stride(cols);
    }

    int blocks() {
        return Layout.blocks(cols);
    }

    DeviceMemory.Buffer floats() {
        return floats;
    }

    /** The packed rows; the floats, which nobody reads then, where the policy does not pack. */
    DeviceMemory.Buffer codes() {
        return codes == null ? floats : codes;
    }

    DeviceMemory.Buffer scales() {
        return scales == null ? floats : scales;
    }

    /** The input that the latest writer packed for. */
    Input packed() {
        return packed;
    }

    boolean isPacked() {
        return packed instanceof Input.I8;
    }

    /** Says that so many rows are about to be written, and packed as the policy has it. */
    void begin(int rows) {
        packed = policy.of(rows);
    }

    long bytes() {
        return floats.bytes() + (codes == null ? 0 : codes.bytes()) + (scales == null ? 0 : scales.bytes());
    }

    void free(DeviceMemory memory) {
        memory.free(floats);
        if (codes != null) memory.free(codes);
        if (scales != null) memory.free(scales);
    }
}
