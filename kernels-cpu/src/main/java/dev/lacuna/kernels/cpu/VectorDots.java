package dev.lacuna.kernels.cpu;

import static dev.lacuna.kernels.cpu.Lanes.F;
import static dev.lacuna.kernels.cpu.Lanes.N;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Products of floats in blocks of registers. A result's lanes are summed over the columns in order, and then across, in whichever block it is computed:
 * blocks only decide what shares a load.
 */
final class VectorDots {
    private static final VectorSpecies<Float> QUAD = FloatVector.SPECIES_128;
    /** Where in the scratch of lanes sums of four begin. */
    private static final int FOLDED = 16 * 16;

    private VectorDots() {}

    static void dots(float[] w, int rows, float[] x, int xAt, int xRows, int k, float[] out, int outAt, int stride, float[] lanes) {
        int r = 0;
        // 16 sums, 4 weights and an input need the 32 registers that come with 512 bits; 8 sums fit in 16
        if (Lanes.BITS == 512) {
            for (; r + 4 <= xRows; r += 4) {
                for (int o = 0; o < rows; o += 4) four(w, o * k, x, xAt + r * k, k, out, outAt + r * stride + o, stride, lanes);
            }
        }
        for (; r + 2 <= xRows; r += 2) {
            for (int o = 0; o < rows; o += 4) two(w, o * k, x, xAt + r * k, k, out, outAt + r * stride + o, stride, lanes);
        }
        for (; r < xRows; r++) {
            for (int o = 0; o < rows; o += 4) one(w, o * k, x, xAt + r * k, k, out, outAt + r * stride + o, lanes);
        }
    }

    private static void four(float[] w, int w0, float[] x, int x0, int k, float[] out, int at, int stride, float[] lanes) {
        FloatVector a0 = FloatVector.zero(F), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        FloatVector c0 = a0, c1 = a0, c2 = a0, c3 = a0, d0 = a0, d1 = a0, d2 = a0, d3 = a0;
        int w1 = w0 + k, w2 = w1 + k, w3 = w2 + k;
        int x1 = x0 + k, x2 = x1 + k, x3 = x2 + k;
        for (int i = 0; i < k; i += N) {
            FloatVector p0 = FloatVector.fromArray(F, w, w0 + i), p1 = FloatVector.fromArray(F, w, w1 + i);
            FloatVector p2 = FloatVector.fromArray(F, w, w2 + i), p3 = FloatVector.fromArray(F, w, w3 + i);
            FloatVector q = FloatVector.fromArray(F, x, x0 + i);
            a0 = p0.fma(q, a0);
            a1 = p1.fma(q, a1);
            a2 = p2.fma(q, a2);
            a3 = p3.fma(q, a3);
            q = FloatVector.fromArray(F, x, x1 + i);
            b0 = p0.fma(q, b0);
            b1 = p1.fma(q, b1);
            b2 = p2.fma(q, b2);
            b3 = p3.fma(q, b3);
            q = FloatVector.fromArray(F, x, x2 + i);
            c0 = p0.fma(q, c0);
            c1 = p1.fma(q, c1);
            c2 = p2.fma(q, c2);
            c3 = p3.fma(q, c3);
            q = FloatVector.fromArray(F, x, x3 + i);
            d0 = p0.fma(q, d0);
            d1 = p1.fma(q, d1);
            d2 = p2.fma(q, d2);
            d3 = p3.fma(q, d3);
        }
        lay(a0, a1, a2, a3, lanes, 0);
        lay(b0, b1, b2, b3, lanes, 4 * N);
        lay(c0, c1, c2, c3, lanes, 8 * N);
        lay(d0, d1, d2, d3, lanes, 12 * N);
        totals(lanes, 4, out, at, stride);
    }

    private static void two(float[] w, int w0, float[] x, int x0, int k, float[] out, int at, int stride, float[] lanes) {
        FloatVector a0 = FloatVector.zero(F), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        int w1 = w0 + k, w2 = w1 + k, w3 = w2 + k;
        int x1 = x0 + k;
        for (int i = 0; i < k; i += N) {
            FloatVector p = FloatVector.fromArray(F, x, x0 + i), q = FloatVector.fromArray(F, x, x1 + i);
            FloatVector v = FloatVector.fromArray(F, w, w0 + i);
            a0 = v.fma(p, a0);
            b0 = v.fma(q, b0);
            v = FloatVector.fromArray(F, w, w1 + i);
            a1 = v.fma(p, a1);
            b1 = v.fma(q, b1);
            v = FloatVector.fromArray(F, w, w2 + i);
            a2 = v.fma(p, a2);
            b2 = v.fma(q, b2);
            v = FloatVector.fromArray(F, w, w3 + i);
            a3 = v.fma(p, a3);
            b3 = v.fma(q, b3);
        }
        lay(a0, a1, a2, a3, lanes, 0);
        lay(b0, b1, b2, b3, lanes, 4 * N);
        totals(lanes, 2, out, at, stride);
    }

    private static void one(float[] w, int w0, float[] x, int x0, int k, float[] out, int at, float[] lanes) {
        FloatVector a0 = FloatVector.zero(F), a1 = a0, a2 = a0, a3 = a0;
        int w1 = w0 + k, w2 = w1 + k, w3 = w2 + k;
        for (int i = 0; i < k; i += N) {
            FloatVector q = FloatVector.fromArray(F, x, x0 + i);
            a0 = FloatVector.fromArray(F, w, w0 + i).fma(q, a0);
            a1 = FloatVector.fromArray(F, w, w1 + i).fma(q, a1);
            a2 = FloatVector.fromArray(F, w, w2 + i).fma(q, a2);
            a3 = FloatVector.fromArray(F, w, w3 + i).fma(q, a3);
        }
        lay(a0, a1, a2, a3, lanes, 0);
        totals(lanes, 1, out, at, 0);
    }

    private static void lay(FloatVector a, FloatVector b, FloatVector c, FloatVector d, float[] lanes, int at) {
        a.intoArray(lanes, at);
        b.intoArray(lanes, at + N);
        c.intoArray(lanes, at + 2 * N);
        d.intoArray(lanes, at + 3 * N);
    }

    /** Sums of {@code rows x 4} vectors of lanes in the order of {@link Lanes#total}. */
    private static void totals(float[] lanes, int rows, float[] out, int at, int stride) {
        for (int o = 0; o < 4 * rows; o++) {
            FloatVector v = FloatVector.fromArray(QUAD, lanes, o * N);
            for (int i = 4; i < N; i += 4) v = v.add(FloatVector.fromArray(QUAD, lanes, o * N + i));
            v.intoArray(lanes, FOLDED + 4 * o);
        }
        for (int r = 0; r < rows; r++) {
            for (int o = 0; o < 4; o++) {
                int from = FOLDED + 16 * r + 4 * o;
                out[at + r * stride + o] = lanes[from] + lanes[from + 1] + (lanes[from + 2] + lanes[from + 3]);
            }
        }
    }

    static void mix(float[] a, int aAt, int aStride, int m, int from, int to, float[] b, int n, float[] c, int cAt, int cStride) {
        if (m == 1) {
            for (int j = 0; j < n; j += 2 * N) mixOne(a, aAt, from, to, b, j, n, c, cAt + j);
            return;
        }
        for (int r = 0; r < m; r += 4) {
            for (int j = 0; j < n; j += 2 * N) mixFour(a, aAt + r * aStride, aStride, from, to, b, j, n, c, cAt + r * cStride + j, cStride);
        }
    }

    private static void mixOne(float[] a, int a0, int from, int to, float[] b, int bAt, int n, float[] c, int c0) {
        FloatVector s = FloatVector.zero(F), t = s;
        for (int i = from; i < to; i++) {
            FloatVector p = FloatVector.broadcast(F, a[a0 + i]);
            s = FloatVector.fromArray(F, b, bAt + i * n).fma(p, s);
            t = FloatVector.fromArray(F, b, bAt + i * n + N).fma(p, t);
        }
        add(s, t, c, c0);
    }

    private static void mixFour(float[] a, int a0, int aStride, int from, int to, float[] b, int bAt, int n, float[] c, int c0,
            int cStride) {
        FloatVector s0 = FloatVector.zero(F), s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0;
        int a1 = a0 + aStride, a2 = a1 + aStride, a3 = a2 + aStride;
        for (int i = from; i < to; i++) {
            FloatVector v = FloatVector.fromArray(F, b, bAt + i * n), u = FloatVector.fromArray(F, b, bAt + i * n + N);
            FloatVector p = FloatVector.broadcast(F, a[a0 + i]);
            s0 = v.fma(p, s0);
            t0 = u.fma(p, t0);
            p = FloatVector.broadcast(F, a[a1 + i]);
            s1 = v.fma(p, s1);
            t1 = u.fma(p, t1);
            p = FloatVector.broadcast(F, a[a2 + i]);
            s2 = v.fma(p, s2);
            t2 = u.fma(p, t2);
            p = FloatVector.broadcast(F, a[a3 + i]);
            s3 = v.fma(p, s3);
            t3 = u.fma(p, t3);
        }
        add(s0, t0, c, c0);
        add(s1, t1, c, c0 + cStride);
        add(s2, t2, c, c0 + 2 * cStride);
        add(s3, t3, c, c0 + 3 * cStride);
    }

    private static void add(FloatVector s, FloatVector t, float[] c, int at) {
        FloatVector.fromArray(F, c, at).add(s).intoArray(c, at);
        FloatVector.fromArray(F, c, at + N).add(t).intoArray(c, at + N);
    }
}
