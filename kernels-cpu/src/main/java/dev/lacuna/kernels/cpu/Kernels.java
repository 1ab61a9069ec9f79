package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Activation;
import dev.lacuna.tensor.Format;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Single-threaded loops over ranges of rows, one class for each tier. Arrays are scratch: whatever is {@code n} long has room for {@link #PAD} more
 * values up to the next whole multiple, which loops may read and overwrite, and where operands of products hold zeros.
 */
interface Kernels {
    /** Lengths are rounded up to this, a multiple of every vector length. */
    int PAD = 32;
    /** Values of the scratch in which loops lay vectors down to sum them: no use of the order in which a machine sums a register. */
    int LANES = 320;

    static int padded(int n) {
        return (n + PAD - 1) / PAD * PAD;
    }

    /** The tier as decisions name it. */
    String name();

    /** Unpacks {@code n} values at byte {@code at}, and zeros up to the padded length. */
    void unpack(Format format, MemorySegment w, long at, int n, float[] to, int toAt);

    /** Converts {@code n} signed bytes. */
    void unpackBytes(MemorySegment w, long at, int n, float[] to, int toAt);

    /** Whether {@link #direct} takes the format. */
    boolean hasDirect(Format format);

    /**
     * Products of weight rows {@code from} to {@code to} with one row of floats, unpacked in registers; bit for bit what {@link #unpack} and
     * {@link #dots} give.
     *
     * @param out   begins with row {@code from}
     * @param lanes scratch of {@link #LANES}
     */
    void direct(Format format, MemorySegment w, int from, int to, int cols, float[] x, int xAt, float[] out, int outAt, float[] lanes);

    /**
     * {@code out[outAt + r * stride + o] = sum over i < k of x[xAt + r * k + i] * w[o * k + i]}, each sum in an order that depends on k alone.
     *
     * @param rows  of {@code w}, rounded up to 4 by the loops, whose results have room
     * @param k     a padded length
     * @param lanes scratch of {@link #LANES}
     */
    void dots(float[] w, int rows, float[] x, int xAt, int xRows, int k, float[] out, int outAt, int stride, float[] lanes);

    /** {@code c [m x n] += a [m x (from to to)] . b [(from to to) x n]}; m is rounded up to 4 unless it is 1, n is padded. */
    void mix(float[] a, int aAt, int aStride, int m, int from, int to, float[] b, int n, float[] c, int cAt, int cStride);

    double sum(double[] x, int n);

    /** Sum of {@code (x - mean)^2}. */
    double squares(double[] x, int n, double mean);

    /**
     * Rounds padded {@code n} values to what signed bytes with a scale for each {@code block} can hold, a whole multiple of {@link CpuAct#BLOCK}; the last
     * may be shorter.
     */
    void quantize(float[] x, int at, int n, int block);

    /** Rounds {@code n} values as {@link dev.lacuna.ops.Input.Bf16#round} does, in a loop that the compiler vectorizes. */
    static void brains(float[] x, int at, int n) {
        for (int i = at; i < at + n; i++) {
            int bits = Float.floatToRawIntBits(x[i]);
            int rounded = (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000;
            // of what is not a number the sum may be anything
            x[i] = Float.isNaN(x[i]) ? x[i] : Float.intBitsToFloat(rounded);
        }
    }

    /** {@code gate = f(gate) * up}. */
    void activate(Activation f, float[] gate, float @Nullable [] up, int at, int n);

    /** {@code x = cap * tanh(x / cap)}. */
    void cap(float[] x, int at, int n, float cap);

    /**
     * Scales {@link dev.lacuna.ops.KvSpec#BLOCK} scores, hides those before {@code from} and from {@code to} on, and returns the largest.
     *
     * @param scales of the keys, or null
     */
    float scores(float[] s, int at, int from, int to, float scale, float @Nullable [] scales, float cap);

    /** {@code s = exp(s - max)} over a block; returns the sum. */
    float exps(float[] s, int at, float max);

    /** {@code x *= factor}. */
    void scale(float[] x, int at, int n, float factor);

    /** {@code x *= factors}. */
    void scale(float[] x, int at, int n, float[] factors);

    /** The first index from {@code from} whose value is not {@code <= limit}, or {@code to}. */
    int above(float[] x, int from, int to, float limit);
}
