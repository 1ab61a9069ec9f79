package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.KvSpec;

/** What one worker needs to attend with up to {@code queries} query vectors to one block of one key/value head. */
final class AttentionScratch {
    /** {@code [queries x headSize]}. */
    float[] q = new float[0];
    /** {@code [queries x BLOCK]}. */
    float[] scores = new float[0];
    /** {@code [queries x padded headSize]}: the sum so far, in units of {@code exp(max)}. */
    float[] mixed = new float[0];
    /** {@code [headSize x BLOCK]}. */
    float[] keys = new float[0];
    /** {@code [BLOCK x padded headSize]}. */
    float[] values = new float[0];
    final float[] keyScales = new float[KvSpec.BLOCK];
    final float[] valueScales = new float[KvSpec.BLOCK];
    float[] max = new float[0];
    double[] total = new double[0];
    /** The positions of the current block that each query sees. */
    int[] from = new int[0];
    int[] to = new int[0];

    void reserve(int queries, int headSize) {
        int n = (queries + 3) / 4 * 4;
        int stride = Kernels.padded(headSize);
        if (n > max.length) {
            scores = new float[n * KvSpec.BLOCK];
            max = new float[n];
            total = new double[n];
            from = new int[n];
            to = new int[n];
        }
        if (n * headSize > q.length) q = new float[n * headSize];
        if (n * stride > mixed.length) mixed = new float[n * stride];
        if (KvSpec.BLOCK * stride > values.length) {
            values = new float[KvSpec.BLOCK * stride];
            keys = new float[KvSpec.BLOCK * stride];
        }
    }
}
