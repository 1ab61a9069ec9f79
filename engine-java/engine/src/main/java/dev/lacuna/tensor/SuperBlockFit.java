package dev.lacuna.tensor;

import java.util.Objects;

/**
 * Chooses scales, minima and integers of one super-block so that the squared error is small. Each sub-block alone first: round on a few grids near the
 * one that spans its values, solve least squares for scale and minimum given the integers, keep the best. Then both are rounded to the small integers
 * that the format stores, looking one step to either side, the super-block's own scales are solved again, and the rounding is repeated; this
 * from a few beginnings, of which the best counts.
 */
final class SuperBlockFit {
    private static final int VALUES = 256;
    /** Grids tried: up to this many tenths of a level wider or narrower than the values' span, three tenths apart. */
    private static final int TENTHS = 30;
    /** Steps by which the largest scale may stay below the largest integer that the format has for it. */
    private static final int[] SPARE = {0, 3, 6};

    private final boolean zeroPoint;
    private final int size;
    private final int least;
    private final int most;
    private final int leastScale;
    private final int mostScale;

    private final double[] x = new double[VALUES];
    private final double[] idealScale;
    private final double[] idealMin;
    private Choice best;

    /** What will be stored. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Choice(float d, float dmin, int[] scale, int[] min, double error) {}

    SuperBlockFit(Format format, int size, int bias) {
        this.size = size;
        zeroPoint = format.zeroPoint();
        least = -bias;
        most = (1 << format.bits()) - 1 - bias;
        leastScale = zeroPoint ? 0 : -128;
        mostScale = zeroPoint ? 63 : 127;
        idealScale = new double[VALUES / size];
        idealMin = new double[VALUES / size];
        best = new Choice(0, 0, new int[0], new int[0], 0);
    }

    float d() {
        return best.d;
    }

    float dmin() {
        return best.dmin;
    }

    int scale(int j) {
        return best.scale[j];
    }

    int min(int j) {
        return best.min[j];
    }

    int q(int i) {
        int j = i / size;
        return nearest(x[i], best.d * best.scale[j], best.dmin * best.min[j]);
    }

    void of(float[] from, int at) {
        for (int i = 0; i < VALUES; i++) x[i] = from[at + i];
        for (int j = 0; j < idealScale.length; j++) fitAlone(j);
        double largest = 0, largestMin = 0;
        for (int j = 0; j < idealScale.length; j++) {
            if (Math.abs(idealScale[j]) > Math.abs(largest)) largest = idealScale[j];
            largestMin = Math.max(largestMin, idealMin[j]);
        }
        Choice found = null;
        for (int spare : SPARE) {
            for (int spareMin : zeroPoint ? SPARE : new int[]{0}) {
                // signed scales have one step more below zero than above: the largest takes it
                float d = half(largest / (zeroPoint ? mostScale - spare : leastScale + spare));
                best = choose(d, half(largestMin / (mostScale - spareMin)));
                Choice again = solveAgain();
                if (again.error < best.error) best = again;
                if (found == null || best.error < found.error) found = best;
            }
        }
        best = Objects.requireNonNull(found);
    }

    private static float half(double value) {
        return Float.float16ToFloat(Float.floatToFloat16((float) value));
    }

    /** The integer whose value {@code scale*q - min} is nearest. */
    private int nearest(double value, double scale, double min) {
        return scale == 0 ? 0 : level((value + min) / scale);
    }

    private int level(double steps) {
        return Math.min(most, Math.max(least, (int) Math.rint(steps)));
    }

    private double error(int j, double scale, double min) {
        double sum = 0, inverse = scale == 0 ? 0 : 1 / scale;
        for (int i = j * size; i < (j + 1) * size; i++) {
            double e = scale * level((x[i] + min) * inverse) - min - x[i];
            sum += e * e;
        }
        return sum;
    }

    private void fitAlone(int j) {
        double low = 0, high = Double.NEGATIVE_INFINITY, largest = 0;
        for (int i = j * size; i < (j + 1) * size; i++) {
            low = Math.min(low, x[i]);
            high = Math.max(high, x[i]);
            if (Math.abs(x[i]) > Math.abs(largest)) largest = x[i];
        }
        idealScale[j] = 0;
        idealMin[j] = zeroPoint ? -low : 0;
        double smallest = error(j, 0, idealMin[j]);
        for (int tenths = -TENTHS; tenths <= TENTHS && smallest > 0; tenths += 3) {
            // without a minimum the largest value, whatever its sign, goes to the end that has one level more
            double scale = zeroPoint ? (high - low) / (most + tenths / 10.0) : largest / (least + tenths / 10.0);
            double[] solved = leastSquares(j, scale, zeroPoint ? -low : 0);
            double error = error(j, solved[0], solved[1]);
            if (error < smallest) {
                smallest = error;
                idealScale[j] = solved[0];
                idealMin[j] = solved[1];
            }
        }
    }

    /** Scale and minimum, not negative, that are best for the integers which the given ones lead to. */
    private double[] leastSquares(int j, double scale, double min) {
        double q1 = 0, q2 = 0, x1 = 0, qx = 0, inverse = scale == 0 ? 0 : 1 / scale;
        for (int i = j * size; i < (j + 1) * size; i++) {
            int q = level((x[i] + min) * inverse);
            q1 += q;
            q2 += (double) q * q;
            x1 += x[i];
            qx += q * x[i];
        }
        double determinant = size * q2 - q1 * q1;
        if (zeroPoint && determinant > 0) {
            double solvedMin = (q1 * qx - q2 * x1) / determinant;
            if (solvedMin >= 0) return new double[]{(size * qx - q1 * x1) / determinant, solvedMin};
        }
        return new double[]{q2 == 0 ? scale : qx / q2, 0};
    }

    /** Rounds each sub-block's scale and minimum to steps of {@code d} and {@code dmin}. */
    private Choice choose(float d, float dmin) {
        int[] scale = new int[idealScale.length], min = new int[idealScale.length];
        double sum = 0;
        for (int j = 0; j < scale.length; j++) {
            int s = step(idealScale[j], d, leastScale, mostScale), m = step(idealMin[j], dmin, 0, mostScale);
            double smallest = Double.POSITIVE_INFINITY;
            for (int tryScale = Math.max(leastScale, s - 1); tryScale <= Math.min(mostScale, s + 1); tryScale++) {
                for (int tryMin = Math.max(0, m - 1); tryMin <= (zeroPoint ? Math.min(mostScale, m + 1) : 0); tryMin++) {
                    double error = error(j, d * tryScale, dmin * tryMin);
                    if (error < smallest) {
                        smallest = error;
                        scale[j] = tryScale;
                        min[j] = tryMin;
                    }
                }
            }
            sum += smallest;
        }
        return new Choice(d, dmin, scale, min, sum);
    }

    private static int step(double value, double unit, int least, int most) {
        return unit == 0 ? 0 : (int) Math.clamp(Math.rint(value / unit), least, most);
    }

    /** Least squares for the super-block's two scales, everything else as it was chosen; then the rounding again. */
    private Choice solveAgain() {
        double uu = 0, uv = 0, vv = 0, ux = 0, vx = 0;
        for (int i = 0; i < VALUES; i++) {
            double u = scale(i / size) * (double) q(i), v = -min(i / size);
            uu += u * u;
            uv += u * v;
            vv += v * v;
            ux += u * x[i];
            vx += v * x[i];
        }
        double determinant = uu * vv - uv * uv;
        if (determinant > 0) return choose(half((ux * vv - vx * uv) / determinant), half(Math.max(0, (vx * uu - ux * uv) / determinant)));
        return uu == 0 ? best : choose(half(ux / uu), best.dmin);
    }
}
