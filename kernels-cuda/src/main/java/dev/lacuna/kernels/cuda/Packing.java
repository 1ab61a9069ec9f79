package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Input;

/**
 * Rows in 8-bit codes as the device has them, padded to whole pairs of blocks, the halves of a pair in turn.
 *
 * @param codes  {@code [rows x stride]}
 * @param scales {@code [rows x stride / 32 x (bits of the scale, sum of the codes)]}
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record Packing(byte[] codes, int[] scales) {
    private static final int BLOCK = Sizes.BLOCK;

    /** By the rule of {@link Input.I8}. */
    static Packing of(float[] v, int cols) {
        int rows = v.length / cols;
        int stride = Sizes.codeStride(cols);
        byte[] codes = new byte[Math.multiplyExact(rows, stride)];
        int[] scales = new int[codes.length / BLOCK * 2];
        for (int r = 0; r < rows; r++) {
            for (int from = 0; from < cols; from += BLOCK) {
                int at = r * cols + from;
                int n = Math.min(BLOCK, cols - from);
                float max = 0;
                for (int i = 0; i < n; i++) max = Math.max(max, Math.abs(v[at + i]));
                float scale = max / 127;
                float inverse = scale < Float.MIN_NORMAL ? 0 : 1 / scale;
                int sum = 0;
                for (int i = 0; i < n; i++) {
                    byte code = (byte) (int) Math.rint(v[at + i] * inverse);
                    codes[r * stride + Sizes.codePlace(from + i)] = code;
                    sum += code;
                }
                int block = (r * stride + from) / BLOCK;
                scales[2 * block] = Float.floatToRawIntBits(scale);
                scales[2 * block + 1] = sum;
            }
        }
        return new Packing(codes, scales);
    }

    /** Room for that many rows. */
    static Packing room(int rows, int cols) {
        int n = Math.multiplyExact(rows, Sizes.codeStride(cols));
        return new Packing(new byte[n], new int[n / BLOCK * 2]);
    }

    float[] unpack(int rows, int cols) {
        int stride = Sizes.codeStride(cols);
        float[] out = new float[Math.multiplyExact(rows, cols)];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                float scale = Float.intBitsToFloat(scales[(r * stride + c) / BLOCK * 2]);
                out[r * cols + c] = codes[r * stride + Sizes.codePlace(c)] * scale;
            }
        }
        return out;
    }
}
