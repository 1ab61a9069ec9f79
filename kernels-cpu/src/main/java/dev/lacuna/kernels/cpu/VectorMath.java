package dev.lacuna.kernels.cpu;

import static dev.lacuna.kernels.cpu.Lanes.F;
import static dev.lacuna.kernels.cpu.Lanes.I;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Functions of floats, lane by lane. */
final class VectorMath {
    /** Added and subtracted: rounds to the nearest whole number, ties to even, as long as that has less than 22 bits. */
    static final float ROUND = 0x1.8p23f;
    private static final float LOG2_E = 1.442695f;
    /** ln 2 in two parts, the first with zeros at its end, so that its small multiples are exact (Cody and Waite). */
    private static final float LN2_HIGH = 355f / 512;
    private static final float LN2_LOW = -2.1219444e-4f;
    /** Below, the result is less than the smallest normal number and becomes 0; above, it is infinite. */
    private static final float LEAST = -87.33654f;
    private static final float MOST = 88.72283f;

    private VectorMath() {}

    /** {@code e^x}, relative error at most 2e-7. */
    static FloatVector exp(FloatVector x) {
        FloatVector within = x.max(LEAST).min(MOST);
        FloatVector shifted = within.fma(FloatVector.broadcast(F, LOG2_E), FloatVector.broadcast(F, ROUND));
        FloatVector n = shifted.sub(ROUND);
        FloatVector r = n.fma(FloatVector.broadcast(F, -LN2_HIGH), within);
        r = n.fma(FloatVector.broadcast(F, -LN2_LOW), r);
        // 1 + r + r^2 p(r), Taylor's terms up to r^7: |r| <= ln 2 / 2
        FloatVector p = FloatVector.broadcast(F, 1f / 5040);
        p = p.fma(r, FloatVector.broadcast(F, 1f / 720));
        p = p.fma(r, FloatVector.broadcast(F, 1f / 120));
        p = p.fma(r, FloatVector.broadcast(F, 1f / 24));
        p = p.fma(r, FloatVector.broadcast(F, 1f / 6));
        p = p.fma(r, FloatVector.broadcast(F, 0.5f));
        p = p.fma(r.mul(r), r).add(1);
        // 2^n as two factors, since n may be 128
        IntVector whole = (IntVector) n.convert(VectorOperators.F2I, 0);
        IntVector half = whole.lanewise(VectorOperators.ASHR, 1);
        FloatVector y = p.mul(power(half)).mul(power(whole.sub(half)));
        y = y.blend(0, x.compare(VectorOperators.LT, LEAST));
        return y.blend(Float.POSITIVE_INFINITY, x.compare(VectorOperators.GT, MOST));
    }

    private static FloatVector power(IntVector n) {
        return n.add(IntVector.broadcast(I, 127)).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
    }

    /** {@code x / (1 + e^-t)}. */
    static FloatVector gated(FloatVector x, FloatVector t) {
        return x.div(exp(t.neg()).add(1));
    }

    /** The error function to 2e-7 (Abramowitz and Stegun 7.1.26). */
    static FloatVector erf(FloatVector x) {
        FloatVector a = x.abs();
        FloatVector t = FloatVector.broadcast(F, 1).div(a.fma(FloatVector.broadcast(F, 0.3275911f), FloatVector.broadcast(F, 1)));
        FloatVector p = FloatVector.broadcast(F, 1.0614054f);
        p = p.fma(t, FloatVector.broadcast(F, -1.4531521f));
        p = p.fma(t, FloatVector.broadcast(F, 1.4214138f));
        p = p.fma(t, FloatVector.broadcast(F, -0.28449672f));
        p = p.fma(t, FloatVector.broadcast(F, 0.2548296f));
        FloatVector y = p.mul(t).mul(exp(a.mul(a).neg())).neg().add(1);
        return y.blend(y.neg(), x.compare(VectorOperators.LT, 0));
    }

    /** Hyperbolic tangent: a polynomial (Moshier's Cephes) near 0, where the quotient would cancel. */
    static FloatVector tanh(FloatVector x) {
        FloatVector z = x.mul(x);
        FloatVector p = FloatVector.broadcast(F, -5.7049887e-3f);
        p = p.fma(z, FloatVector.broadcast(F, 2.0639088e-2f));
        p = p.fma(z, FloatVector.broadcast(F, -5.3739715e-2f));
        p = p.fma(z, FloatVector.broadcast(F, 1.3331442e-1f));
        p = p.fma(z, FloatVector.broadcast(F, -3.333328e-1f));
        FloatVector near = p.mul(z).fma(x, x);
        FloatVector far = FloatVector.broadcast(F, 1).sub(FloatVector.broadcast(F, 2).div(exp(x.add(x)).add(1)));
        return far.blend(near, x.abs().compare(VectorOperators.LT, 0.625f));
    }
}
