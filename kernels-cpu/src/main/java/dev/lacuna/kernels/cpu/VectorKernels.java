package dev.lacuna.kernels.cpu;

import static dev.lacuna.kernels.cpu.Lanes.F;
import static dev.lacuna.kernels.cpu.Lanes.N;
import static dev.lacuna.kernels.cpu.Lanes.floats;

import dev.lacuna.ops.Activation;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.tensor.Format;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/** Loops in the Vector API, for registers of 128, 256 or 512 bits. */
final class VectorKernels implements Kernels {
    private static final FloatVector LANE = FloatVector.zero(F).addIndex(1);
    private static final float SQRT_HALF = (float) Math.sqrt(0.5);
    private static final float GELU = (float) (2 * Math.sqrt(2 / Math.PI));

    @Override
    public String name() {
        return "vector " + Lanes.BITS + " bits";
    }

    @Override
    public void unpack(Format format, MemorySegment w, long at, int n, float[] to, int toAt) {
        VectorUnpack.row(format, w, at, n, to, toAt);
        Arrays.fill(to, toAt + n, toAt + Kernels.padded(n), 0);
    }

    @Override
    public void unpackBytes(MemorySegment w, long at, int n, float[] to, int toAt) {
        VectorUnpack.bytes(w, at, n, to, toAt);
    }

    @Override
    public boolean hasDirect(Format format) {
        return VectorDirect.has(format);
    }

    @Override
    public void direct(Format format, MemorySegment w, int from, int to, int cols, float[] x, int xAt, float[] out, int outAt,
            float[] lanes) {
        VectorDirect.rows(format, w, from, to, cols, x, xAt, out, outAt, lanes);
    }

    @Override
    public void dots(float[] w, int rows, float[] x, int xAt, int xRows, int k, float[] out, int outAt, int stride, float[] lanes) {
        VectorDots.dots(w, rows, x, xAt, xRows, k, out, outAt, stride, lanes);
    }

    @Override
    public void mix(float[] a, int aAt, int aStride, int m, int from, int to, float[] b, int n, float[] c, int cAt, int cStride) {
        VectorDots.mix(a, aAt, aStride, m, from, to, b, n, c, cAt, cStride);
    }

    @Override
    public double sum(double[] x, int n) {
        double a = 0, b = 0, c = 0, d = 0;
        int i = 0;
        for (; i + 4 <= n; i += 4) {
            a += x[i];
            b += x[i + 1];
            c += x[i + 2];
            d += x[i + 3];
        }
        for (; i < n; i++) a += x[i];
        return a + b + (c + d);
    }

    @Override
    public double squares(double[] x, int n, double mean) {
        double a = 0, b = 0, c = 0, d = 0;
        int i = 0;
        for (; i + 4 <= n; i += 4) {
            a += (x[i] - mean) * (x[i] - mean);
            b += (x[i + 1] - mean) * (x[i + 1] - mean);
            c += (x[i + 2] - mean) * (x[i + 2] - mean);
            d += (x[i + 3] - mean) * (x[i + 3] - mean);
        }
        for (; i < n; i++) a += (x[i] - mean) * (x[i] - mean);
        return a + b + (c + d);
    }

    @Override
    public void quantize(float[] x, int at, int n, int block) {
        for (int b = at; b < at + n; b += block) {
            int end = Math.min(b + block, at + n);
            FloatVector most = FloatVector.zero(F);
            for (int i = b; i < end; i += N) most = most.max(FloatVector.fromArray(F, x, i).abs());
            float d = most.reduceLanes(VectorOperators.MAX) / 127;
            float inverse = d < Float.MIN_NORMAL ? 0 : 1 / d;
            for (int i = b; i < end; i += N) {
                FloatVector rounded = FloatVector.fromArray(F, x, i).mul(inverse).add(VectorMath.ROUND).sub(VectorMath.ROUND);
                // by way of whole numbers, which have one zero and no NaN
                floats((IntVector) rounded.convert(VectorOperators.F2I, 0)).mul(d).intoArray(x, i);
            }
        }
    }

    @Override
    public void activate(Activation f, float[] gate, float @Nullable [] up, int at, int n) {
        for (int i = at; i < at + Kernels.padded(n); i += N) {
            FloatVector x = FloatVector.fromArray(F, gate, i);
            FloatVector y = switch (f) {
                case SILU -> VectorMath.gated(x, x);
                // x / 2 * (1 + tanh(u)) = x / (1 + exp(-2u))
                case GELU_TANH -> VectorMath.gated(x, x.mul(x).mul(x).mul(0.044715f).add(x).mul(GELU));
                case GELU_ERF -> VectorMath.erf(x.mul(SQRT_HALF)).add(1).mul(x.mul(0.5f));
                case RELU -> x.max(0);
            };
            if (up != null) y = y.mul(FloatVector.fromArray(F, up, i));
            y.intoArray(gate, i);
        }
    }

    @Override
    public void cap(float[] x, int at, int n, float cap) {
        for (int i = at; i < at + Kernels.padded(n); i += N) {
            VectorMath.tanh(FloatVector.fromArray(F, x, i).div(cap)).mul(cap).intoArray(x, i);
        }
    }

    @Override
    public float scores(float[] s, int at, int from, int to, float scale, float @Nullable [] scales, float cap) {
        FloatVector most = FloatVector.broadcast(F, Float.NEGATIVE_INFINITY);
        for (int i = 0; i < KvSpec.BLOCK; i += N) {
            FloatVector v = FloatVector.fromArray(F, s, at + i).mul(scale);
            if (scales != null) v = v.mul(FloatVector.fromArray(F, scales, i));
            if (cap != 0) v = VectorMath.tanh(v.div(cap)).mul(cap);
            VectorMask<Float> hidden = LANE.compare(VectorOperators.LT, from - i).or(LANE.compare(VectorOperators.GE, to - i));
            v = v.blend(Float.NEGATIVE_INFINITY, hidden);
            v.intoArray(s, at + i);
            most = most.max(v);
        }
        return most.reduceLanes(VectorOperators.MAX);
    }

    @Override
    public float exps(float[] s, int at, float max) {
        for (int i = at; i < at + KvSpec.BLOCK; i += N) VectorMath.exp(FloatVector.fromArray(F, s, i).sub(max)).intoArray(s, i);
        float a = 0, b = 0, c = 0, d = 0;
        for (int i = at; i < at + KvSpec.BLOCK; i += 4) {
            a += s[i];
            b += s[i + 1];
            c += s[i + 2];
            d += s[i + 3];
        }
        return a + b + (c + d);
    }

    @Override
    public void scale(float[] x, int at, int n, float factor) {
        for (int i = at; i < at + n; i++) x[i] *= factor;
    }

    @Override
    public void scale(float[] x, int at, int n, float[] factors) {
        for (int i = 0; i < n; i++) x[at + i] *= factors[i];
    }

    @Override
    public int above(float[] x, int from, int to, float limit) {
        int i = from;
        for (; i + N <= to; i += N) {
            VectorMask<Float> not = FloatVector.fromArray(F, x, i).compare(VectorOperators.LE, limit).not();
            if (not.anyTrue()) return i + not.firstTrue();
        }
        for (; i < to; i++) {
            if (!(x[i] <= limit)) return i;
        }
        return to;
    }
}
