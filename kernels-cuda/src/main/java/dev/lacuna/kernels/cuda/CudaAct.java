package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;

/** An activation on the device: floats where its policy has some, codes and scales where it packs. Columns are padded with zeros. */
final class CudaAct implements Act {
    /** Bytes of the scale and the sum of a block's codes. */
    static final int SCALE = 8;

    private final int cols;
    private final InputPolicy policy;
    private final CudaWorkspace room;
    private final long floats;
    private final long codes;
    private final long scales;
    private Input packed;

    CudaAct(int cols, InputPolicy policy, CudaWorkspace room) {
        this.cols = cols;
        this.policy = policy;
        this.room = room;
        long rows = room.limits().rows();
        int stride = Sizes.stride(cols);
        boolean plain = policy.fewRows() instanceof Input.F32 || policy.manyRows() instanceof Input.F32;
        boolean packs = policy.fewRows() instanceof Input.I8 || policy.manyRows() instanceof Input.I8;
        String what = "an activation of " + rows + " x " + cols;
        floats = plain ? room.zeros(Math.multiplyExact(rows, (long) stride * Float.BYTES), what) : 0;
        codes = packs ? room.zeros(Math.multiplyExact(rows, (long) stride), what) : 0;
        scales = packs ? room.zeros(Math.multiplyExact(rows, (long) stride / Sizes.BLOCK * SCALE), what) : 0;
        packed = policy.fewRows();
    }

    @Override
    public int cols() {
        return cols;
    }

    @Override
    public InputPolicy policy() {
        return policy;
    }

    CudaWorkspace room() {
        return room;
    }

    int stride() {
        return Sizes.stride(cols);
    }

    boolean packs(int rows) {
        return policy.of(rows) instanceof Input.I8;
    }

    /** Where the rows of such a step are read from. */
    long input(int rows) {
        return packs(rows) ? codes : floats;
    }

    /** The scales of such a step's rows, or null. */
    long inputScales(int rows) {
        return packs(rows) ? scales : 0;
    }

    /** The three pointers of an output, two or one of which are null. */
    Launch output(Launch to, int rows) {
        return packs(rows) ? to.at(0).at(codes).at(scales) : to.at(floats).at(0).at(0);
    }

    long floats() {
        return floats;
    }

    long codes() {
        return codes;
    }

    long scales() {
        return scales;
    }

    /** Whether the latest writer packed. */
    boolean packed() {
        return packed instanceof Input.I8;
    }

    /** Says that a step of that many rows has written here. */
    void written(int rows) {
        packed = policy.of(rows);
    }
}
