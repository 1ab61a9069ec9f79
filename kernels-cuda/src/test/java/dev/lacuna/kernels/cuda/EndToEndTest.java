package dev.lacuna.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Checkout;
import dev.lacuna.files.ModelFile;
import dev.lacuna.model.Decoder;
import dev.lacuna.model.ForwardPass;
import dev.lacuna.model.ModelSpec;
import dev.lacuna.model.TinyLlama;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.tensor.Format;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Whole models say on the emulated device what they say on the CPU: a prompt in one step, then token by token, in every weight format with every input.
 * What a family cannot be packed in, since its rows are no whole number of blocks, stays as it is. System property {@code lacuna.test.full} runs every
 * family in every format instead of each in a few, among which each format and input comes up at least twice.
 */
class EndToEndTest {
    private static final boolean FULL = Boolean.getBoolean("lacuna.test.full");
    private static final int PROMPT = 11;
    private static final int TOKENS = 6;
    /** Where the two best tokens are nearer than this, rounding may choose. */
    private static final float MARGIN = 2e-3f;
    /**
     * The same where inputs or the cache are packed, as a part of the scores' root mean square: a sum that lies between two codes may be rounded either
     * way, which moves scores by a hundredth of it.
     */
    private static final float PACKED_MARGIN = 0.03f;

    @TempDir
    static Path folder;

    @AfterEach
    void nothingIsLeftAllocated() {
        assertEquals(0, Device.live());
        assertEquals(0, CheckedOps.open());
    }

    /** A model, its packing and the cache's. */
    record Case(String model, Format format, InputPolicy input, KvType kv) {}

    private static List<Arguments> packings() {
        List<Arguments> all = new ArrayList<>();
        for (Format f : Format.ALL.stream().filter(f -> !f.variable()).toList()) {
            boolean floats = f.kind() == Format.Kind.FLOAT;
            for (Input i : floats ? List.of(Input.F32, Input.BF16) : List.of(Input.F32, Input.BF16, Input.I8)) {
                all.add(Arguments.of(f, InputPolicy.pinned(i)));
            }
        }
        // the prompt in the one, single tokens in the other
        all.add(Arguments.of(Format.Q4_1, new InputPolicy(Input.I8, Input.BF16)));
        all.add(Arguments.of(Format.F16, new InputPolicy(Input.F32, Input.BF16)));
        return all;
    }

    static Stream<Case> cases() throws IOException {
        List<Case> all = new ArrayList<>();
        List<Arguments> packings = packings();
        List<String> families;
        try (Stream<Path> found = Files.list(Checkout.root().resolve("models/families"))) {
            families = found.filter(Files::isDirectory).map(f -> f.getFileName().toString()).sorted().toList();
        }
        int n = 0;
        for (Arguments p : packings) all.add(of("tiny", p, n++));
        for (int f = 0; f < families.size(); f++) {
            for (int p = 0; p < packings.size(); p++) {
                if (FULL || p % families.size() == f) all.add(of(families.get(f), packings.get(p), n++));
            }
        }
        for (int p = 0; p < packings.size(); p += FULL ? 1 : 9) all.add(of("stories260K", packings.get(p), n++));
        return all.stream();
    }

    private static Case of(String model, Arguments packing, int n) {
        return new Case(model, (Format) packing.get()[0], (InputPolicy) packing.get()[1], KvType.values()[n % 3]);
    }

    private static Path path(String model) {
        return switch (model) {
            // wide enough for blocks of 256 in the projections of heads and of the feed-forward block
            case "tiny" -> new TinyLlama().layers(new int[]{16, 16}, new int[]{4, 4}, new int[]{256, 256}).write(folder, 5);
            case "stories260K" -> Checkout.shared("models/stories260K/stories260K-f32.gguf");
            default -> Checkout.root().resolve("models/families").resolve(model).resolve("model.gguf");
        };
    }

    private static int[] prompt(int vocabulary) {
        return IntStream.range(0, PROMPT).map(i -> 3 + (i * 7919 + 13) % (vocabulary - 3)).toArray();
    }

    /** The scores after each step: first of the prompt, then of each token of {@code said}, or of its own best where that is null. */
    private static List<float[]> scores(Case c, String kernels, int[] said) {
        Limits limits = new Limits(16, 1, 1, 2);
        try (Arena arena = Arena.ofShared();
                ModelFile file = ModelFile.open(path(c.model));
                CheckedOps ops = Backends.find().open(new OpsOptions(2, kernels, false))) {
            ModelSpec spec = Decoder.spec(file);
            Decoder decoder = Decoder.place(file, spec, ops, 64, c.input,
                    t -> c.format.pads() || t.cols() % c.format.group() == 0 ? t.as(c.format, arena) : t);
            try (KvPool kv = ops.kv(spec.kv(c.kv), 3); ForwardPass pass = decoder.pass(limits, kv)) {
                List<float[]> all = new ArrayList<>();
                Batch batch = new Batch(limits);
                int[] next = prompt(spec.vocabulary());
                int at = 0;
                for (int step = 0; step <= TOKENS; step++) {
                    batch.clear(2);
                    batch.addSequence(new int[]{2, 1}, 2);
                    for (int i = 0; i < next.length; i++) batch.addRow(next[i], at++, i == next.length - 1);
                    pass.run(batch);
                    float[] logits = pass.logits();
                    assertEquals(best(logits), pass.best()[0], "the best token is that of the largest score");
                    all.add(logits);
                    next = new int[]{said == null ? best(logits) : said[step]};
                }
                return all;
            }
        }
    }

    private static int best(float[] v) {
        int best = 0;
        for (int i = 1; i < v.length; i++) if (v[i] > v[best]) best = i;
        return best;
    }

    private static float margin(float[] v) {
        float[] sorted = v.clone();
        Arrays.sort(sorted);
        return sorted[v.length - 1] - sorted[v.length - 2];
    }

    /** Root mean square. */
    private static float size(float[] v) {
        double power = 0;
        for (float x : v) power += (double) x * x;
        return (float) Math.sqrt(power / v.length);
    }

    @ParameterizedTest
    @MethodSource("cases")
    void saysWhatTheCpuSays(Case c) {
        String kernels = CudaTier.name();
        List<float[]> cpu = scores(c, "plain", null);
        int[] said = cpu.stream().mapToInt(EndToEndTest::best).toArray();
        List<float[]> cuda = scores(c, kernels, said);
        boolean packed = !c.input.equals(InputPolicy.F32) || c.kv != KvType.F32;
        int compared = 0;
        for (int i = 0; i < said.length; i++) {
            if (margin(cpu.get(i)) < (packed ? PACKED_MARGIN * size(cpu.get(i)) : MARGIN)) continue;
            compared++;
            assertEquals(said[i], best(cuda.get(i)), c + ", token " + i);
        }
        assertTrue(compared >= 4, c + ": only " + compared + " tokens had a margin");
    }
}
