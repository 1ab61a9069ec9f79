package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Linear;

/**
 * Products of a panel of activation rows with ranges of weight rows. Each result is one sum in one order, whatever else is computed with it: one or two
 * rows meet weights that are unpacked in registers; else a few weight rows at a time are unpacked to floats and meet all activation rows.
 */
final class Products {
    /** Steps of at most this many rows unpack weights anew for each row. */
    static final int DIRECT = 2;
    /** Steps of at most this many rows are cut into larger parts. */
    private static final int FEW = 8;
    /** Weight rows of a part when there are many activation rows: unpacked they fit the second-level cache. */
    private static final int MANY = 32;
    /** Weight rows that are unpacked at a time for few activation rows: they fit the first-level cache. */
    private static final int TILE = 4;
    /** Activation rows of a block of results. */
    private static final int ROWS = 64;
    private static final int MOST = 512;
    /** Results that a block holds. */
    static final int OUT = FEW * MOST;

    private final Kernels kernels;
    private final int threads;

    Products(Kernels kernels, int threads) {
        this.kernels = kernels;
        this.threads = threads;
    }

    private static boolean few(Panel panel) {
        return panel.rows <= FEW;
    }

    /** Weight rows of a part: whole blocks of 32, enough parts for balance, not so many that handing out costs. */
    int step(int outputs, Panel panel) {
        return few(panel) ? Math.clamp(Kernels.padded(outputs / (threads * 8)), MANY, MOST) : MANY;
    }

    /** Activation rows that a block of results has room for. */
    int rows(Panel panel) {
        return few(panel) ? panel.rows : ROWS;
    }

    static int parts(int n, int step) {
        return (n + step - 1) / step;
    }

    /**
     * {@code out[(r - first) * stride + o - from] = panel[r] . w[o] + bias[o]} for the panel's rows {@code first} to {@code last}.
     *
     * @param tile   which tile of the worker to unpack to
     * @param stride at least {@code to - from}, a multiple of 4
     */
    void block(Scratch s, int tile, Panel panel, Linear w, int from, int to, int first, int last, float[] out, int stride) {
        CpuWeight weight = (CpuWeight) w.weight();
        if (panel.rows <= DIRECT && !panel.brain && kernels.hasDirect(weight.format())) {
            for (int r = first; r < last; r++) {
                kernels.direct(weight.format(), weight.data(), from, to, weight.cols(), panel.floats, r * panel.stride, out,
                        (r - first) * stride,
                        s.lanes);
            }
        } else {
            int step = few(panel) ? TILE : MANY;
            for (int o = from; o < to; o += step) {
                int end = Math.min(to, o + step);
                float[] rows = unpacked(s.tile[tile], weight, o, end, panel.brain);
                kernels.dots(rows, end - o, panel.floats, first * panel.stride, last - first, panel.stride, out, o - from, stride, s.lanes);
            }
        }
        if (w.bias() == null) return;
        float[] bias = ((CpuValues) w.bias()).v();
        for (int r = 0; r < last - first; r++) {
            for (int o = from; o < to; o++) out[r * stride + o - from] += bias[o];
        }
    }

    @SuppressWarnings("ReferenceEquality") // placed weights are what they are, and nobody changes them
    private float[] unpacked(Scratch.Tile tile, CpuWeight w, int from, int to, boolean brain) {
        if (tile.of == w && tile.from == from && tile.to == to && tile.brain == brain) return tile.v;
        int stride = Kernels.padded(w.cols());
        // the loops take 4 rows at a time; results of rows past the end are never read
        int need = (to - from + 3) / 4 * 4 * stride;
        if (tile.v.length < need) tile.v = new float[need];
        for (int o = from; o < to; o++) kernels.unpack(w.format(), w.data(), w.at(o), w.cols(), tile.v, (o - from) * stride);
        if (brain) Kernels.brains(tile.v, 0, (to - from) * stride);
        tile.of = w;
        tile.brain = brain;
        tile.from = from;
        tile.to = to;
        return tile.v;
    }
}
