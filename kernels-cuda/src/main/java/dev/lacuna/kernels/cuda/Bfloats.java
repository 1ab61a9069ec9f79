package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Input;
import dev.lacuna.tensor.Codec;

/** Rows in bfloat16 as the device has them, padded to whole blocks. */
final class Bfloats {
    private Bfloats() {}

    /** By the rule of {@link Input.Bf16}. */
    static short[] of(float[] v, int cols) {
        int rows = v.length / cols;
        int stride = Sizes.stride(cols);
        short[] out = new short[Math.multiplyExact(rows, stride)];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++)
                out[r * stride + c] = Codec.floatToBfloat16(v[r * cols + c]);
        }
        return out;
    }

    static float[] unpack(short[] bits, int rows, int cols) {
        int stride = Sizes.stride(cols);
        float[] out = new float[Math.multiplyExact(rows, cols)];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) out[r * cols + c] = Codec.bfloat16ToFloat(bits[r * stride + c]);
        }
        return out;
    }
}
