package dev.lacuna.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.model.RopeSpec.Scaling;
import org.junit.jupiter.api.Test;

class RopeSpecTest {
    private static final double LLAMA3_14 = 0.0032114461064338684;
    private static final double LLAMA3_16 = 0.000429556705057621;
    private static final double LLAMA3_31 = 9.418306490260875e-08;
    private static final double YARN_12 = 0.027973996475338936;
    private static final double YARN_20 = 0.0013378867879509926;
    private static final double YARN_31 = 3.333803761051968e-05;
    private static final double YARN_ATTENTION = 1.138629436111989;

    private static float[] of(int dims, double base, Scaling scaling) {
        return new RopeSpec(dims, base, true, scaling).frequencies(1);
    }

    @Test
    void positionZeroDoesNotRotate() {
        float[] table = new RopeSpec(8, 10000, true, new Scaling.None()).table(3);
        assertEquals(24, table.length);
        for (int i = 0; i < 4; i++) {
            assertEquals(1, table[2 * i]);
            assertEquals(0, table[2 * i + 1]);
        }
        assertEquals(Math.cos(2), table[16], 1e-7);
        assertEquals(Math.sin(2), table[17], 1e-7);
    }

    @Test
    void linearDividesEveryPairNtkOnlyTheSlow() {
        float[] plain = of(64, 10000, new Scaling.None());
        float[] linear = of(64, 10000, new Scaling.Linear(4));
        float[] ntk = of(64, 10000, new Scaling.Ntk(4));
        for (int i = 0; i < 32; i++) assertEquals(plain[i] / 4, linear[i], 1e-9);
        assertEquals(plain[0], ntk[0]);
        assertEquals(plain[31] / 4, ntk[31], 1e-9);
    }

    /** Values of transformers' {@code _compute_llama3_parameters} for Llama 3.2 1B: base 500000, 64 values, factor 32, low 1, high 4, 8192. */
    @Test
    void llama3() {
        float[] f = of(64, 500000, new Scaling.Llama3(32, 1, 4, 8192));
        assertEquals(1, f[0], 1e-7);
        assertEquals(LLAMA3_14, f[14], 1e-9);
        assertEquals(LLAMA3_16, f[16], 1e-9);
        assertEquals(LLAMA3_31, f[31], 1e-12);
        // the same as divisors, as GGUF carries them
        float[] plain = of(64, 500000, new Scaling.None());
        float[] divisors = new float[32];
        for (int i = 0; i < 32; i++) divisors[i] = plain[i] / f[i];
        float[] again = of(64, 500000, new Scaling.Divisors(divisors));
        for (int i = 0; i < 32; i++) assertEquals(f[i], again[i], Math.ulp(f[i]) * 2);
    }

    /** Values of transformers' {@code _compute_yarn_parameters}: base 10000, 64 values, factor 4, original 4096. */
    @Test
    void yarn() {
        RopeSpec spec = new RopeSpec(64, 10000, true, new Scaling.Yarn(4, 4096, 32, 1, true, 0));
        float[] f = spec.frequencies(1);
        assertEquals(1, f[0], 1e-7);
        assertEquals(YARN_12, f[12], 1e-8);
        assertEquals(YARN_20, f[20], 1e-8);
        assertEquals(YARN_31, f[31], 1e-10);
        assertEquals(YARN_ATTENTION, spec.table(1)[0], 1e-6);
        assertTrue(new RopeSpec(64, 10000, true, new Scaling.Yarn(4, 4096, 32, 1, true, 1.5)).table(1)[0] == 1.5f);
    }
}
