package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;

/** An activation on the device, once for each input of its policy. Columns are padded with zeros. */
final class CudaAct implements Act {
    /** Bytes of the scale and the sum of a block's codes. */
    static final int SCALE = 8;

    /**
     * Where rows in one kind of input are.
     *
     * @param values floats, bfloats or codes
     * @param scales of codes, else 0
     */
    record Place(Input input, long values, long scales) {
        boolean packed() {
            return !(input instanceof Input.F32);
        }
    }

    private final int cols;
    private final InputPolicy policy;
    private final CudaWorkspace room;
    private final Place few;
    private final Place many;
    private Place latest;

    CudaAct(int cols, InputPolicy policy, CudaWorkspace room) {
        this.cols = cols;
        this.policy = policy;
        this.room = room;
        few = place(policy.fewRows());
        many = policy.manyRows().equals(policy.fewRows()) ? few : place(policy.manyRows());
        latest = few;
    }

    private Place place(Input input) {
        long values = Math.multiplyExact(room.limits().rows(), (long) stride());
        String what = "an activation of " + room.limits().rows() + " x " + cols;
        return switch (input) {
            case Input.F32 f32 -> new Place(f32, room.zeros(Math.multiplyExact(values, Float.BYTES), what), 0);
            case Input.Bf16 bf16 -> new Place(bf16, room.zeros(Math.multiplyExact(values, Short.BYTES), what), 0);
            case Input.I8 i8 -> {
                long codes = Math.multiplyExact(room.limits().rows(), (long) Sizes.codeStride(cols));
                yield new Place(i8, room.zeros(codes, what), room.zeros(Math.multiplyExact(codes / Sizes.BLOCK, SCALE), what));
            }
        };
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

    /** Where the rows of such a step are. */
    Place of(int rows) {
        return rows <= InputPolicy.FEW ? few : many;
    }

    /** The rows of such a step and their scales, which are null unless they are codes. */
    Launch input(Launch to, int rows) {
        return to.at(of(rows).values).at(of(rows).scales);
    }

    /** The three pointers of an output: floats, or what they are packed to, and scales. */
    Launch output(Launch to, int rows) {
        Place place = of(rows);
        return place.packed() ? to.at(0).at(place.values).at(place.scales) : to.at(place.values).at(0).at(0);
    }

    /** Of an activation that is single precision whatever the rows. */
    long floats() {
        return few.values;
    }

    /** Where the latest writer wrote. */
    Place latest() {
        return latest;
    }

    /** Says that a step of that many rows has written here. */
    void written(int rows) {
        latest = of(rows);
    }
}
