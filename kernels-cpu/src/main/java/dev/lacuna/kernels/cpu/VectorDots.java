package dev.lacuna.kernels.cpu;

import static dev.lacuna.kernels.cpu.Lanes.F;
import static dev.lacuna.kernels.cpu.Lanes.N;

import jdk.incubator.vector.FloatVector;

/** Products of floats in blocks of registers. Each result is one sum in one order, in whichever block: blocks only decide what shares a load. */
final class VectorDots {
    /** Products that are summed before the sum joins the others: sums of sums round less, and the operands stay in the caches. */
    private static final int DEEP = 512;

    private VectorDots() {}

    static void dots(float[] w, int rows, float[] x, int xRows, int k, float[] out, int outAt, int stride, float[] lanes) {
        for (int r = 0; r < xRows; r++) {
            for (int o = 0; o < rows; o += 4) one(w, o * k, x, r * k, k, out, outAt + r * stride + o, lanes);
        }
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
        a0.intoArray(lanes, 0);
        a1.intoArray(lanes, N);
        a2.intoArray(lanes, 2 * N);
        a3.intoArray(lanes, 3 * N);
        for (int o = 0; o < 4; o++) out[at + o] = Lanes.total(lanes, o * N);
    }

    static void outer(float[] w, int rows, float[] x, int xAt, int xRows, int k, float[] out, int stride, float[] lanes) {
        for (int from = 0; from < k; from += DEEP) {
            int to = Math.min(k, from + DEEP);
            int r = 0;
            // 16 sums, 4 inputs and a weight need the 32 registers that come with 512 bits; 8 sums fit in 16
            if (Lanes.BITS == 512) {
                for (; r + 2 * N < xRows; r += 4 * N) {
                    for (int o = 0; o < rows; o += 4) {
                        sixteen(w, o * k, k, x, xAt + r, from, to, lanes);
                        turn(lanes, Math.min(4 * N, xRows - r), 4 * N, out, r * stride + o, stride, from > 0);
                    }
                }
            }
            for (; r < xRows; r += 2 * N) {
                for (int o = 0; o < rows; o += 4) {
                    eight(w, o * k, k, x, xAt + r, from, to, lanes);
                    turn(lanes, Math.min(2 * N, xRows - r), 2 * N, out, r * stride + o, stride, from > 0);
                }
            }
        }
    }

    /** Adds or stores {@code lanes [4 x width]} as columns. */
    private static void turn(float[] lanes, int rows, int width, float[] out, int at, int stride, boolean add) {
        for (int r = 0; r < rows; r++, at += stride) {
            float a = lanes[r], b = lanes[width + r], c = lanes[2 * width + r], d = lanes[3 * width + r];
            out[at] = add ? out[at] + a : a;
            out[at + 1] = add ? out[at + 1] + b : b;
            out[at + 2] = add ? out[at + 2] + c : c;
            out[at + 3] = add ? out[at + 3] + d : d;
        }
    }

    private static void sixteen(float[] w, int w0, int k, float[] x, int xAt, int from, int to, float[] lanes) {
        FloatVector a0 = FloatVector.zero(F), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        FloatVector c0 = a0, c1 = a0, c2 = a0, c3 = a0, d0 = a0, d1 = a0, d2 = a0, d3 = a0;
        int w1 = w0 + k, w2 = w1 + k, w3 = w2 + k;
        for (int i = from; i < to; i++) {
            int at = xAt + i * Panel.ROWS;
            FloatVector p0 = FloatVector.fromArray(F, x, at), p1 = FloatVector.fromArray(F, x, at + N);
            FloatVector p2 = FloatVector.fromArray(F, x, at + 2 * N), p3 = FloatVector.fromArray(F, x, at + 3 * N);
            FloatVector q = FloatVector.broadcast(F, w[w0 + i]);
            a0 = p0.fma(q, a0);
            a1 = p1.fma(q, a1);
            a2 = p2.fma(q, a2);
            a3 = p3.fma(q, a3);
            q = FloatVector.broadcast(F, w[w1 + i]);
            b0 = p0.fma(q, b0);
            b1 = p1.fma(q, b1);
            b2 = p2.fma(q, b2);
            b3 = p3.fma(q, b3);
            q = FloatVector.broadcast(F, w[w2 + i]);
            c0 = p0.fma(q, c0);
            c1 = p1.fma(q, c1);
            c2 = p2.fma(q, c2);
            c3 = p3.fma(q, c3);
            q = FloatVector.broadcast(F, w[w3 + i]);
            d0 = p0.fma(q, d0);
            d1 = p1.fma(q, d1);
            d2 = p2.fma(q, d2);
            d3 = p3.fma(q, d3);
        }
        store(a0, a1, lanes, 0);
        store(a2, a3, lanes, 2 * N);
        store(b0, b1, lanes, 4 * N);
        store(b2, b3, lanes, 6 * N);
        store(c0, c1, lanes, 8 * N);
        store(c2, c3, lanes, 10 * N);
        store(d0, d1, lanes, 12 * N);
        store(d2, d3, lanes, 14 * N);
    }

    private static void eight(float[] w, int w0, int k, float[] x, int xAt, int from, int to, float[] lanes) {
        FloatVector a0 = FloatVector.zero(F), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
        int w1 = w0 + k, w2 = w1 + k, w3 = w2 + k;
        for (int i = from; i < to; i++) {
            int at = xAt + i * Panel.ROWS;
            FloatVector p0 = FloatVector.fromArray(F, x, at), p1 = FloatVector.fromArray(F, x, at + N);
            FloatVector q = FloatVector.broadcast(F, w[w0 + i]);
            a0 = p0.fma(q, a0);
            a1 = p1.fma(q, a1);
            q = FloatVector.broadcast(F, w[w1 + i]);
            b0 = p0.fma(q, b0);
            b1 = p1.fma(q, b1);
            q = FloatVector.broadcast(F, w[w2 + i]);
            c0 = p0.fma(q, c0);
            c1 = p1.fma(q, c1);
            q = FloatVector.broadcast(F, w[w3 + i]);
            d0 = p0.fma(q, d0);
            d1 = p1.fma(q, d1);
        }
        store(a0, a1, lanes, 0);
        store(b0, b1, lanes, 2 * N);
        store(c0, c1, lanes, 4 * N);
        store(d0, d1, lanes, 6 * N);
    }

    private static void store(FloatVector a, FloatVector b, float[] lanes, int at) {
        a.intoArray(lanes, at);
        b.intoArray(lanes, at + N);
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
