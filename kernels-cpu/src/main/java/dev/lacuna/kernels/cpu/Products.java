package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Linear;

/**
 * Products of a panel of activation rows with ranges of weight rows. Each result is one sum in one order, whoever computes it. One or two rows meet
 * packed weights directly where there is an integer loop; else a few weight rows at a time are unpacked to floats and meet all activation rows.
 */
final class Products {
    /** Weight rows of a part when there are many activation rows: unpacked they fit the second-level cache. */
    private static final int MANY = 32;
    /** Weight rows that are unpacked at a time for few activation rows: they fit the first-level cache. */
    private static final int TILE = 4;
    private static final int MOST = 512;
    /** Results that a block holds. */
    static final int OUT = Panel.FEW * MOST;

    private final Kernels kernels;
    private final int threads;

    Products(Kernels kernels, int threads) {
        this.kernels = kernels;
        this.threads = threads;
    }

    /** Weight rows of a part: whole blocks of 32, enough parts for balance, not so many that handing out costs. */
    int step(int outputs, Panel panel) {
        return panel.few() ? Math.clamp(Kernels.padded(outputs / (threads * 8)), MANY, MOST) : MANY;
    }

    /** Activation rows that a block of results has room for. */
    int rows(Panel panel) {
        return panel.few() ? panel.rows : Panel.ROWS;
    }

    static int parts(int n, int step) {
        return (n + step - 1) / step;
    }

    /**
     * {@code out[(r - first) * stride + o - from] = panel[r] . w[o] + bias[o]} for the panel's rows {@code first} to {@code last}.
     *
     * @param first  0 for few rows, else a multiple of {@link Panel#ROWS}
     * @param tile   which tile of the worker to unpack to
     * @param stride at least {@code to - from}, a multiple of 4
     */
    void block(Scratch s, int tile, Panel panel, Linear w, int from, int to, int first, int last, float[] out, int stride) {
        CpuWeight weight = (CpuWeight) w.weight();
        if (panel.integers && kernels.hasIntegers(weight.format())) {
            for (int r = first; r < last; r++) {
                kernels.integers(weight.format(), weight.data(), from, to, weight.cols(), panel, r, out, (r - first) * stride, s.lanes);
            }
        } else {
            int step = panel.few() ? TILE : MANY;
            for (int o = from; o < to; o += step) {
                int end = Math.min(to, o + step);
                float[] rows = unpacked(s.tile[tile], weight, o, end);
                if (panel.few()) {
                    kernels.dots(rows, end - o, panel.floats, last, panel.stride, out, o - from, stride, s.lanes);
                } else {
                    kernels.outer(rows, end - o, panel.floats, first * panel.stride, last - first, panel.stride, out, stride, s.lanes);
                }
            }
        }
        if (w.bias() == null) return;
        float[] bias = ((CpuValues) w.bias()).v();
        for (int r = 0; r < last - first; r++) {
            for (int o = from; o < to; o++) out[r * stride + o - from] += bias[o];
        }
    }

    private float[] unpacked(Scratch.Tile tile, CpuWeight w, int from, int to) {
        if (tile.of == w && tile.from == from && tile.to == to) return tile.v;
        int stride = Kernels.padded(w.cols());
        // the loops take 4 rows at a time; results of rows past the end are never read
        int need = (to - from + 3) / 4 * 4 * stride;
        if (tile.v.length < need) tile.v = new float[need];
        long bytes = w.format().rowBytes(w.cols());
        for (int o = from; o < to; o++) kernels.unpack(w.format(), w.data(), o * bytes, w.cols(), tile.v, (o - from) * stride);
        tile.of = w;
        tile.from = from;
        tile.to = to;
        return tile.v;
    }
}
