package dev.lacuna.kernels.cpu;

import org.jspecify.annotations.Nullable;

/** What one worker needs for itself. */
final class Scratch {
    /** One row of values, and a second. */
    float[] row = new float[0];
    float[] second = new float[0];
    double[] wide = new double[0];
    double[] normed = new double[0];
    final float[] lanes = new float[Kernels.LANES];
    /** Results of a part of a product, {@code [rows x outputs]}, and a second. */
    final float[] out = new float[Products.OUT];
    final float[] gate = new float[Products.OUT];
    private float[] chosen = new float[0];
    final Tile[] tile = {new Tile(), new Tile()};
    final AttentionScratch attention = new AttentionScratch();

    /** Rows of a weight, unpacked; kept until others are asked for. */
    static final class Tile {
        float[] v = new float[0];
        @Nullable
        CpuWeight of;
        int from;
        int to;
        boolean brain;
    }

    /** Room for chosen rows, unpacked. */
    float[] unpacked(int n) {
        if (chosen.length < n) chosen = new float[n];
        return chosen;
    }

    /** Room for rows of up to {@code cols} values. */
    void reserve(int cols) {
        int n = Kernels.padded(cols);
        if (n <= row.length) return;
        row = new float[n];
        second = new float[n];
        wide = new double[n];
        normed = new double[n];
    }
}
