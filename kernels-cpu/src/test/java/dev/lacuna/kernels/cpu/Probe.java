package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Activation;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Weight;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Codec;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;

/** Small work for JVMs that the tests start. */
final class Probe {
    static final float EXPECTED = 64 * 3;

    private Probe() {}

    /** A product of ones and threes. */
    static float sum(CheckedOps ops) {
        float[] threes = new float[64];
        Arrays.fill(threes, 3);
        MemorySegment data = MemorySegment.ofArray(new byte[256]);
        Codec.of(Format.F32).encode(threes, 0, 64, data, 0);
        Weight w = ops.place(List.of(new Tensor("w", Format.F32, 1, 64, data)), InputPolicy.F32, Set.of(Use.PRODUCT)).getFirst();
        Limits limits = new Limits(1, 1, 1, 1);
        try (Workspace room = ops.workspace(limits)) {
            Act x = room.act(64, InputPolicy.F32);
            Act y = room.act(1, InputPolicy.F32);
            float[] ones = new float[64];
            Arrays.fill(ones, 1);
            ops.write(x, ones);
            Batch b = new Batch(limits);
            b.clear(1);
            b.addSequence(new int[]{1}, 1);
            b.addRow(0, 0, false);
            ops.run(Step.of(0, b), b, () -> ops.linear(x, new Linear(w, null), y));
            return ops.read(y, 1)[0];
        }
    }

    private static float[] gaussian(SplittableRandom random, int n) {
        float[] x = new float[n];
        for (int i = 0; i < n; i++) x[i] = (float) random.nextGaussian();
        return x;
    }

    private static void near(String what, float[] expected, float[] actual, int n) {
        double error = 0;
        double size = 0;
        for (int i = 0; i < n; i++) {
            error += Math.pow((double) expected[i] - actual[i], 2);
            size += (double) expected[i] * expected[i];
        }
        if (!(error <= 1e-11 * size)) throw new AssertionError(what + ": NMSE " + error / size);
    }

    /** All loops of the vector tier against those of the plain one. */
    static void compare() {
        SplittableRandom random = new SplittableRandom(5);
        Kernels plain = new PlainKernels();
        Kernels vector = new VectorKernels();
        float[] lanes = new float[Kernels.LANES];
        try (Arena arena = Arena.ofConfined()) {
            for (Format format : Format.ALL) {
                int cols = 768;
                int outs = 8;
                MemorySegment floats = arena.allocate(4L * outs * cols);
                Codec.of(Format.F32).encode(gaussian(random, outs * cols), 0, outs * cols, floats, 0);
                Tensor packed = new Tensor("w", Format.F32, outs, cols, floats).as(format, arena);
                MemorySegment data = packed.data();
                float[] w = new float[outs * cols];
                float[] v = new float[outs * cols];
                for (int o = 0; o < outs; o++) {
                    plain.unpack(format, data, packed.offset(o), cols, w, o * cols);
                    vector.unpack(format, data, packed.offset(o), cols, v, o * cols);
                }
                near(format + " unpacked", w, v, w.length);
                float[] x = gaussian(random, 7 * cols);
                float[] expected = new float[7 * outs];
                float[] actual = new float[7 * outs];
                plain.dots(w, outs, x, 0, 7, cols, expected, 0, outs, lanes);
                vector.dots(v, outs, x, 0, 7, cols, actual, 0, outs, lanes);
                near(format + " dots", expected, actual, expected.length);
                if (!vector.hasDirect(format)) continue;
                vector.direct(format, data, 0, outs, cols, x, 6 * cols, actual, 0, lanes);
                near(format + " direct", Arrays.copyOfRange(expected, 6 * outs, 7 * outs), actual, outs);
            }
        }
        rest(random, plain, vector);
    }

    private static void rest(SplittableRandom random, Kernels plain, Kernels vector) {
        for (Activation f : Activation.values()) {
            float[] gate = gaussian(random, 64);
            float[] up = gaussian(random, 64);
            float[] other = gate.clone();
            plain.activate(f, gate, up, 0, 64);
            vector.activate(f, other, up, 0, 64);
            near(f.toString(), gate, other, 64);
        }
        float[] x = gaussian(random, 64);
        float[] y = x.clone();
        for (int block : new int[]{32, 64, 128}) {
            plain.quantize(x, 0, 64, block);
            vector.quantize(y, 0, 64, block);
            near("packed by " + block, x, y, 64);
        }
        plain.cap(x, 0, 64, 2);
        vector.cap(y, 0, 64, 2);
        near("capped", x, y, 64);
        float[] scales = gaussian(random, KvSpec.BLOCK);
        float max = plain.scores(x, 0, 3, 29, 0.7f, scales, 1.5f);
        near("largest score", new float[]{max}, new float[]{vector.scores(y, 0, 3, 29, 0.7f, scales, 1.5f)}, 1);
        near("sum", new float[]{plain.exps(x, 0, max)}, new float[]{vector.exps(y, 0, max)}, 1);
        near("weights", x, y, KvSpec.BLOCK);
        float[] a = gaussian(random, 8 * 16);
        float[] b = gaussian(random, 16 * 64);
        for (int m : new int[]{1, 4, 8}) {
            float[] c = new float[8 * 64];
            float[] d = new float[8 * 64];
            plain.mix(a, 0, 16, m, 1, 15, b, 64, c, 0, 64);
            vector.mix(a, 0, 16, m, 1, 15, b, 64, d, 0, 64);
            near("mixed " + m, c, d, c.length);
        }
    }
}
