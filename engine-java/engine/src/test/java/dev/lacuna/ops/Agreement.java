package dev.lacuna.ops;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

/** How far a result may be from the reference's. */
sealed interface Agreement {
    void check(String what, float[] expected, float[] actual);

    /** The same bits, any NaN being like any other. */
    record Exact() implements Agreement {
        @Override
        public void check(String what, float[] expected, float[] actual) {
            assertEquals(expected.length, actual.length, what);
            for (int i = 0; i < expected.length; i++) {
                if (Float.compare(expected[i], actual[i]) != 0 && expected[i] != actual[i]) {
                    fail(what + "[" + i + "] is " + actual[i] + ", not exactly " + expected[i]);
                }
            }
        }
    }

    /**
     * Normalized mean square error over what is finite; NaN and infinities where the reference has some.
     *
     * @param typical sum of squares that the results would have without chance: a single sum may happen to be almost zero, and its error is still that
     *                of its terms
     */
    record Nmse(double most, double typical) implements Agreement {
        Nmse(double most) {
            this(most, 0);
        }

        @Override
        public void check(String what, float[] expected, float[] actual) {
            assertEquals(expected.length, actual.length, what);
            double error = 0;
            double power = 0;
            int worst = 0;
            double worstError = -1;
            for (int i = 0; i < expected.length; i++) {
                if (!sameKind(what, i, expected[i], actual[i])) continue;
                double e = (double) actual[i] - expected[i];
                if (e * e > worstError) {
                    worst = i;
                    worstError = e * e;
                }
                error += e * e;
                power += (double) expected[i] * expected[i];
            }
            power = Math.max(power, typical);
            if (error > most * power) {
                fail("%s: NMSE %.2e, at most %.0e; worst at [%d]: %s, reference %s".formatted(what, error / power, most, worst,
                        actual[worst],
                        expected[worst]));
            }
        }
    }

    /**
     * What a packing by {@code levels} levels a sign leaves of values that were rounded differently before: equal but for rare codes off by one.
     *
     * @param cols   values of a row, whose last block may be shorter
     * @param block  values that share a scale, or whose largest says what rounding before could change
     * @param levels 127 for 8 bits; 0: half precision; -8: bfloat16
     * @param term   of what size the values' terms are, where they may all but cancel; what rounding before could change is never less than theirs
     */
    record Codes(int cols, int block, int levels, double term) implements Agreement {
        Codes(int block, int levels) {
            this(block, block, levels, 0);
        }

        @Override
        public void check(String what, float[] expected, float[] actual) {
            assertEquals(expected.length, actual.length, what);
            int off = 0;
            for (int from = 0, to; from < expected.length; from = to) {
                to = Math.min(from + block, from / cols * cols + cols);
                float max = 0;
                for (int i = from; i < to; i++) max = Math.max(max, Math.abs(expected[i]));
                for (int i = from; i < to; i++) {
                    if (!sameKind(what, i, expected[i], actual[i])) continue;
                    double step = switch (levels) {
                        case 0 -> Math.max(Math.abs(expected[i]) * 0x1p-10, 0x1p-24);
                        case -8 -> Math.abs(expected[i]) * 0x1p-7;
                        default -> max / levels;
                    };
                    double distance = Math.abs((double) actual[i] - expected[i]);
                    double rounding = (levels == 0 ? 2e-7 : 4e-6) * Math.max(max, term);
                    if (distance > rounding) off++;
                    if (distance > step + rounding) fail(what + "[" + i + "] is " + actual[i] + ", more than one code from " + expected[i]);
                }
            }
            int most = 2 + expected.length / 500;
            if (off > most) fail(what + ": " + off + " of " + expected.length + " codes are off by one, at most " + most);
        }
    }

    /** False where the reference is not finite, which the other must not be either. */
    private static boolean sameKind(String what, int i, float expected, float actual) {
        if (Float.isFinite(expected) != Float.isFinite(actual)) fail(what + "[" + i + "] is " + actual + ", reference " + expected);
        if (Float.isNaN(expected) && !Float.isNaN(actual)) fail(what + "[" + i + "] is " + actual + ", reference " + expected);
        return Float.isFinite(expected);
    }

    Agreement EXACT = new Exact();
    /** Single precision against double precision on the same operands. */
    Agreement FLOAT = new Nmse(1e-11);
    /** Attention in bfloat16, which has 8 bits. */
    Agreement BFLOAT16 = new Nmse(1e-4);
    /** The same of heads of one value, whose scores are single products: a score of ten moves by a fiftieth, and its weight with it. */
    Agreement BFLOAT16_OF_ONE = new Nmse(1e-3);
    /** Single precision after an 8-bit packing in between, whose codes may be off by one. */
    Agreement REPACKED = new Nmse(1e-5);
}
