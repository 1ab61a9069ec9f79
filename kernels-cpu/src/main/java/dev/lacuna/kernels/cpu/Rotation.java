package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Rope;

/**
 * Head norms and rotary embedding of one row, in double precision: it is little work, and what the cache then rounds to fewer bits does not depend on
 * the tier.
 */
final class Rotation {
    private Rotation() {}

    /** Rotates {@code n} values of whole heads. */
    static void row(float[] x, int n, int position, Rope rope, float[] gain, double eps) {
        float[] table = ((CpuValues) rope.table()).v();
        int size = rope.headSize();
        int half = rope.dims() / 2;
        int apart = rope.interleaved() ? 1 : half;
        int next = rope.interleaved() ? 2 : 1;
        for (int h = 0; h < n; h += size) {
            double scale = 1;
            if (gain.length > 0) {
                double square = 0;
                for (int i = h; i < h + size; i++) square += (double) x[i] * x[i];
                scale = 1 / Math.sqrt(square / size + eps);
            }
            for (int i = 0; i < half; i++) {
                int first = h + next * i;
                int second = first + apart;
                double cos = table[position * rope.dims() + 2 * i];
                double sin = table[position * rope.dims() + 2 * i + 1];
                double a = x[first];
                double c = x[second];
                if (gain.length > 0) {
                    a = a * scale * gain[first - h];
                    c = c * scale * gain[second - h];
                }
                x[first] = (float) (a * cos - c * sin);
                x[second] = (float) (a * sin + c * cos);
            }
            if (gain.length == 0) continue;
            for (int i = h + rope.dims(); i < h + size; i++) x[i] = (float) (x[i] * scale * gain[i - h]);
        }
    }
}
