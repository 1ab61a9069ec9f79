package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Activation;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.tensor.Format;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Loops without the Vector API: for JVMs that were started without a flag. */
final class PlainKernels implements Kernels {
    @Override
    public String name() {
        return "plain";
    }

    @Override
    public void unpack(Format format, MemorySegment w, long at, int n, float[] to, int toAt) {
        PlainUnpack.row(format, w, at, n, to, toAt);
        Arrays.fill(to, toAt + n, toAt + Kernels.padded(n), 0);
    }

    @Override
    public void unpackBytes(MemorySegment w, long at, int n, float[] to, int toAt) {
        for (int i = 0; i < n; i++) to[toAt + i] = w.get(ValueLayout.JAVA_BYTE, at + i);
    }

    @Override
    public boolean hasDirect(Format format) {
        return false;
    }

    @Override
    public void direct(Format format, MemorySegment w, int from, int to, int cols, float[] x, int xAt, float[] out, int outAt,
            float[] lanes) {
        throw new UnsupportedOperationException("no such loops");
    }

    @Override
    public void dots(float[] w, int rows, float[] x, int xAt, int xRows, int k, float[] out, int outAt, int stride, float[] lanes) {
        for (int r = 0; r < xRows; r++) {
            for (int o = 0; o < rows; o += 2) {
                int a = o * k;
                int b = a + k;
                int c = xAt + r * k;
                // short sums side by side: faster than one, and less rounding
                float a0 = 0, a1 = 0, a2 = 0, a3 = 0;
                float b0 = 0, b1 = 0, b2 = 0, b3 = 0;
                for (int i = 0; i < k; i += 4) {
                    float x0 = x[c + i], x1 = x[c + i + 1], x2 = x[c + i + 2], x3 = x[c + i + 3];
                    a0 += w[a + i] * x0;
                    a1 += w[a + i + 1] * x1;
                    a2 += w[a + i + 2] * x2;
                    a3 += w[a + i + 3] * x3;
                    b0 += w[b + i] * x0;
                    b1 += w[b + i + 1] * x1;
                    b2 += w[b + i + 2] * x2;
                    b3 += w[b + i + 3] * x3;
                }
                out[outAt + r * stride + o] = a0 + a1 + (a2 + a3);
                out[outAt + r * stride + o + 1] = b0 + b1 + (b2 + b3);
            }
        }
    }

    @Override
    public void mix(float[] a, int aAt, int aStride, int m, int from, int to, float[] b, int n, float[] c, int cAt, int cStride) {
        float[] sum = new float[n];
        for (int r = 0; r < m; r++) {
            Arrays.fill(sum, 0);
            for (int i = from; i < to; i++) {
                float factor = a[aAt + r * aStride + i];
                for (int j = 0; j < n; j++) sum[j] += factor * b[i * n + j];
            }
            for (int j = 0; j < n; j++) c[cAt + r * cStride + j] += sum[j];
        }
    }

    @Override
    public double sum(double[] x, int n) {
        double sum = 0;
        for (int i = 0; i < n; i++) sum += x[i];
        return sum;
    }

    @Override
    public double squares(double[] x, int n, double mean) {
        double sum = 0;
        for (int i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
        return sum;
    }

    @Override
    public void quantize(float[] x, int at, int n, int block) {
        for (int b = at; b < at + n; b += block) {
            int end = Math.min(b + block, at + n);
            float max = 0;
            for (int i = b; i < end; i++) max = Math.max(max, Math.abs(x[i]));
            float d = max / 127;
            float inverse = d < Float.MIN_NORMAL ? 0 : 1 / d;
            for (int i = b; i < end; i++) x[i] = (int) Math.rint(x[i] * inverse) * d;
        }
    }

    @Override
    public void activate(Activation f, float[] gate, float @Nullable [] up, int at, int n) {
        for (int i = at; i < at + n; i++) {
            double x = gate[i];
            double y = switch (f) {
                case SILU -> x / (1 + Math.exp(-x));
                // x / 2 * (1 + tanh(u)) = x / (1 + exp(-2u))
                case GELU_TANH -> x / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
                case GELU_ERF -> x / 2 * (1 + erf(x / Math.sqrt(2)));
                case RELU -> Math.max(x, 0);
            };
            gate[i] = (float) (up == null ? y : y * up[i]);
        }
    }

    /** The error function to 1.5e-7 (Abramowitz and Stegun 7.1.26). */
    private static double erf(double x) {
        double a = Math.abs(x);
        double t = 1 / (1 + 0.3275911 * a);
        double p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
        return Math.copySign(1 - p * Math.exp(-a * a), x);
    }

    @Override
    public void cap(float[] x, int at, int n, float cap) {
        for (int i = at; i < at + n; i++) x[i] = (float) (cap * Math.tanh(x[i] / cap));
    }

    @Override
    public float scores(float[] s, int at, int from, int to, float scale, float @Nullable [] scales, float cap) {
        Arrays.fill(s, at, at + from, Float.NEGATIVE_INFINITY);
        Arrays.fill(s, at + to, at + KvSpec.BLOCK, Float.NEGATIVE_INFINITY);
        float max = Float.NEGATIVE_INFINITY;
        for (int i = from; i < to; i++) {
            float v = s[at + i] * scale;
            if (scales != null) v *= scales[i];
            if (cap != 0) v = (float) (cap * Math.tanh(v / cap));
            s[at + i] = v;
            max = Math.max(max, v);
        }
        return max;
    }

    @Override
    public float exps(float[] s, int at, float max) {
        double sum = 0;
        for (int i = at; i < at + KvSpec.BLOCK; i++) {
            s[i] = s[i] == Float.NEGATIVE_INFINITY ? 0 : (float) Math.exp(s[i] - max);
            sum += s[i];
        }
        return (float) sum;
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
        for (int i = from; i < to; i++) {
            if (!(x[i] <= limit)) return i;
        }
        return to;
    }
}
