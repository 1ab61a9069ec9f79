package dev.lacuna.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.Checkout;
import dev.lacuna.files.ModelFile;
import dev.lacuna.model.ModelSpec.Layer;
import dev.lacuna.model.RopeSpec.Scaling;
import dev.lacuna.model.Weights.AttentionBlock;
import dev.lacuna.model.Weights.FeedForward;
import dev.lacuna.model.Weights.Projection;
import dev.lacuna.ops.Activation;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Norm;
import dev.lacuna.ops.OpsOptions;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * A tiny checkpoint of every family against transformers in double precision: scores at positions 0 to 64 and at the end of 8,200 tokens, the greedy
 * continuation, and for every feature that without it the comparison fails. Each backend runs it. {@code models/families/make.py} makes the files.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS) // so that a backend may say which families it plays far
public abstract class FamilyConformance {
    private static final Path FAMILIES = Checkout.root().resolve("models/families");
    /** Rows of a step. */
    private static final int CHUNK = 128;

    /** The tier under test. */
    protected abstract String kernels();

    /** The most that scores of a row may differ from the golden ones, NMSE. */
    protected abstract double bound();

    /** Whether far positions and the controls are played too; emulated kernels, which are slow, leave them to the CPU's. */
    protected boolean whole() {
        return true;
    }

    // ---- goldens

    /** What transformers computed. */
    private record Golden(String name, JsonNode json, float[] rows) {
        static Golden of(String name) {
            try {
                FloatBuffer f = ByteBuffer.wrap(Files.readAllBytes(FAMILIES.resolve(name).resolve("logits.f32")))
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .asFloatBuffer();
                float[] rows = new float[f.remaining()];
                f.get(rows);
                return new Golden(name, JsonMapper.shared().readTree(FAMILIES.resolve(name).resolve("golden.json").toFile()), rows);
            } catch (IOException e) {
                throw new IllegalStateException("no golden values of " + name, e);
            }
        }

        int number(String key) {
            return json.get(key).asInt();
        }

        /** The text of every golden: a linear congruential generator. */
        int[] text(int n) {
            int[] ids = new int[n];
            long x = 20250101;
            for (int i = 0; i < n; i++) {
                x = (x * 1103515245 + 12345) % (1L << 31);
                ids[i] = (int) ((x >> 16) % number("vocabulary"));
            }
            return ids;
        }

        int[] greedy() {
            return JsonMapper.shared().convertValue(json.get("greedy"), int[].class);
        }

        /** The largest NMSE of a row, given scores of the first positions, or of the last ones of the long text. */
        double error(float[] logits, boolean tail) {
            int vocabulary = number("vocabulary");
            int stride = number("stride");
            int cols = (vocabulary + stride - 1) / stride;
            int first = tail ? number("short") : 0;
            int n = tail ? number("tail") : number("short");
            assertEquals(n * vocabulary, logits.length);
            double most = 0;
            for (int r = 0; r < n; r++) {
                double error = 0;
                double power = 0;
                for (int c = 0; c < cols; c++) {
                    double expected = rows[(first + r) * cols + c];
                    error += Math.pow(logits[r * vocabulary + c * stride] - expected, 2);
                    power += expected * expected;
                }
                double nmse = error / power;
                if (!(nmse <= most)) most = nmse; // NaN included
            }
            return most;
        }
    }

    protected static Stream<String> families() throws IOException {
        try (Stream<Path> all = Files.list(FAMILIES)) {
            return all.filter(Files::isDirectory).map(f -> f.getFileName().toString()).sorted().toList().stream();
        }
    }

    /**
     * The checkpoints whose 8,200 tokens are played. Two have all that kernels see of it: windows, soft caps, partial rotation and long factors. What else
     * is far off is the engine's tables, the same for all kernels; the fastest play them all.
     */
    protected Stream<String> far() throws IOException {
        return Boolean.getBoolean("lacuna.test.full") ? families() : Stream.of("gemma2", "phi3-longrope");
    }

    /** Each checkpoint as GGUF, and with a slash as a Hugging Face folder. */
    static Stream<String> forms() throws IOException {
        return families().flatMap(name -> Stream.of(name, name + "/"));
    }

    // ---- running

    /** What a control changes: the spec, the weights, or both. */
    private record Change(UnaryOperator<ModelSpec> spec, UnaryOperator<Weights> weights) {
        static final Change NONE = new Change(UnaryOperator.identity(), UnaryOperator.identity());
    }

    /** What is done with an open pass. */
    private interface Use<T> {
        T with(ForwardPass pass, Batch batch, int[] blocks);
    }

    private <T> T open(String name, int positions, Change change, Use<T> use) {
        int blocks = KvSpec.blocksFor(positions);
        Limits limits = new Limits(CHUNK, 1, CHUNK, blocks);
        Path folder = FAMILIES.resolve(name);
        try (ModelFile file = ModelFile.open(name.endsWith("/") ? folder : folder.resolve("model.gguf"));
                CheckedOps ops = Backends.find().open(new OpsOptions(2, kernels(), false))) {
            Reading reading = new Reading(file);
            ModelSpec read = Decoder.spec(file);
            ModelSpec spec = change.spec.apply(read);
            Weights weights = change.weights.apply(Families.of(reading).weights(reading, read));
            Decoder decoder = new Decoder(spec, weights, ops, positions, InputPolicy.F32, UnaryOperator.identity(),
                    UnaryOperator.identity());
            try (KvPool kv = ops.kv(spec.kv(KvType.F32), blocks + 1); ForwardPass pass = decoder.pass(limits, kv)) {
                return use.with(pass, new Batch(limits), IntStream.rangeClosed(1, blocks).map(b -> blocks + 1 - b).toArray());
            }
        }
    }

    /** Scores of the last {@code asked} tokens. */
    private float[] logits(String name, int[] text, int asked, int positions, Change change) {
        return open(name, positions, change, (pass, batch, blocks) -> {
            float[] all = new float[0];
            for (int at = 0; at < text.length; at += CHUNK) {
                batch.clear(blocks.length);
                batch.addSequence(blocks, blocks.length);
                for (int p = at; p < Math.min(text.length, at + CHUNK); p++) batch.addRow(text[p], p, p >= text.length - asked);
                pass.run(batch);
                if (batch.logitRows() == 0) continue;
                float[] step = pass.logits();
                int before = all.length;
                all = Arrays.copyOf(all, before + step.length);
                System.arraycopy(step, 0, all, before, step.length);
            }
            return all;
        });
    }

    /** The error at the first positions of a changed model. */
    double error(String name, UnaryOperator<ModelSpec> change) {
        return error(Golden.of(name), false, new Change(change, UnaryOperator.identity()));
    }

    private double error(Golden g, boolean tail, Change change) {
        int n = g.number(tail ? "long" : "short");
        return g.error(logits(g.name, g.text(n), tail ? g.number("tail") : n, tail ? n : 96, change), tail);
    }

    @ParameterizedTest
    @MethodSource("forms")
    void firstPositions(String name) {
        double error = error(Golden.of(name), false, Change.NONE);
        System.out.printf("%s, %s: NMSE %.1e at positions 0 to 64%n", kernels(), name, error);
        assertTrue(error <= bound(), name + ": NMSE " + error + " above " + bound());
    }

    @ParameterizedTest
    @MethodSource("far")
    void farPositions(String name) {
        assumeTrue(whole(), "skipped: far positions take too long on these kernels");
        Golden g = Golden.of(name);
        double error = error(g, true, Change.NONE);
        System.out.printf("%s, %s: NMSE %.1e at positions %d to %d%n", kernels(), name, error, g.number("long") - g.number("tail"),
                g.number("long") - 1);
        assertTrue(error <= bound(), name + ": NMSE " + error + " above " + bound());
    }

    @ParameterizedTest
    @MethodSource("forms")
    void greedyTokens(String name) {
        Golden g = Golden.of(name);
        int[] golden = g.greedy();
        assertTrue(Arrays.stream(golden).distinct().count() >= 16, "a golden that says little: " + Arrays.toString(golden));
        int[] prompt = g.text(g.number("prompt"));
        int[] said = open(name, 96, Change.NONE, (pass, batch, blocks) -> {
            int[] ids = Arrays.copyOf(prompt, prompt.length + golden.length);
            for (int at = 0, n = prompt.length; n < ids.length; at = n++) {
                batch.clear(blocks.length);
                batch.addSequence(blocks, blocks.length);
                for (int p = at; p < n; p++) batch.addRow(ids[p], p, p == n - 1);
                pass.run(batch);
                ids[n] = pass.best()[0];
            }
            return Arrays.copyOfRange(ids, prompt.length, ids.length);
        });
        assertArrayEquals(golden, said);
    }

    // ---- controls: each feature is needed

    private static Arguments spec(String name, String feature, boolean tail, UnaryOperator<ModelSpec> change) {
        return Arguments.of(name, feature, tail, new Change(change, UnaryOperator.identity()));
    }

    private static Arguments layers(String name, String feature, boolean tail, UnaryOperator<Layer> change) {
        return spec(name, feature, tail, s -> s.withLayers(change));
    }

    private static Arguments rope(String name, String feature, boolean tail, UnaryOperator<RopeSpec> change) {
        // one changed embedding for each that there was, so that layers go on sharing tables
        Map<RopeSpec, RopeSpec> changed = new HashMap<>();
        return layers(name, feature, tail, l -> {
            RopeSpec r = l.rope();
            return r == null ? l : l.withRope(changed.computeIfAbsent(r, change::apply));
        });
    }

    private static Arguments weights(String name, String feature, UnaryOperator<AttentionBlock> attention, UnaryOperator<FeedForward> ffn) {
        return Arguments.of(name, feature, false, new Change(UnaryOperator.identity(), w -> {
            List<Weights.Layer> layers = w.layers().stream().map(l -> {
                AttentionBlock a = l.attention();
                FeedForward f = l.ffn();
                return new Weights.Layer(a == null ? null : attention.apply(a), f == null ? null : ffn.apply(f));
            }).toList();
            return new Weights(w.embedding(), w.positions(), layers, w.norm(), w.output());
        }));
    }

    private static Projection unbiased(Projection p) {
        return new Projection(p.weight(), null);
    }

    private static Scaling withoutAttention(Scaling s) {
        return switch (s) {
            case Scaling.Yarn y -> new Scaling.Yarn(y.factor(), y.original(), y.betaFast(), y.betaSlow(), y.truncate(), 1);
            case Scaling.LongRope l -> new Scaling.LongRope(l.shorter(), l.longer(), l.original(), 1);
            default -> throw new IllegalArgumentException("no factor of attention: " + s);
        };
    }

    private static RopeSpec shortOnly(RopeSpec r) {
        Scaling.LongRope l = (Scaling.LongRope) r.scaling();
        return r.withScaling(new Scaling.LongRope(l.shorter(), l.shorter(), l.original(), l.attention()));
    }

    /** All values of a head rotate, those that did not before with the last divisor. */
    private static RopeSpec whole(RopeSpec r) {
        Scaling.LongRope l = (Scaling.LongRope) r.scaling();
        float[] shorter = Arrays.copyOf(l.shorter(), r.dims());
        Arrays.fill(shorter, l.shorter().length, shorter.length, l.shorter()[l.shorter().length - 1]);
        return new RopeSpec(2 * r.dims(), r.base(), r.interleaved(), new Scaling.LongRope(shorter, shorter, l.original(), l.attention()));
    }

    private static Weights.Gain unbiased(Weights.Gain g) {
        return new Weights.Gain(g.gain(), null);
    }

    Stream<Arguments> features() throws IOException {
        List<String> far = far().toList();
        return allFeatures().filter(a -> !(boolean) a.get()[2] || far.contains((String) a.get()[0]));
    }

    private static Stream<Arguments> allFeatures() {
        UnaryOperator<AttentionBlock> sameAttention = UnaryOperator.identity();
        UnaryOperator<FeedForward> sameFfn = UnaryOperator.identity();
        UnaryOperator<AttentionBlock> noQkvBias = a -> new AttentionBlock(a.norm(), unbiased(a.q()), unbiased(a.k()), unbiased(a.v()),
                a.heads(),
                a.output(), a.post());
        UnaryOperator<AttentionBlock> noOutputBias = a -> new AttentionBlock(a.norm(), a.q(), a.k(), a.v(), a.heads(), unbiased(a.output()),
                a.post());
        UnaryOperator<FeedForward> noUpBias = f -> new FeedForward(f.norm(), f.gate(), unbiased(f.up()), f.down(), f.post());
        UnaryOperator<FeedForward> noDownBias = f -> new FeedForward(f.norm(), f.gate(), f.up(), unbiased(f.down()), f.post());
        UnaryOperator<AttentionBlock> noHeadNorm = a -> new AttentionBlock(a.norm(), a.q(), a.k(), a.v(), null, a.output(), a.post());
        UnaryOperator<AttentionBlock> noPostAttention = a -> new AttentionBlock(a.norm(), a.q(), a.k(), a.v(), a.heads(), a.output(), null);
        UnaryOperator<FeedForward> noPostFfn = f -> new FeedForward(f.norm(), f.gate(), f.up(), f.down(), null);
        UnaryOperator<FeedForward> noGate = f -> new FeedForward(f.norm(), null, f.up(), f.down(), f.post());
        UnaryOperator<FeedForward> swapped = f -> new FeedForward(f.norm(), f.up(), f.gate() == null ? f.up() : f.gate(), f.down(),
                f.post());
        UnaryOperator<Layer> noWindow = l -> l.withWindow(0);
        UnaryOperator<RopeSpec> plain = r -> r.withScaling(new Scaling.None());
        Stream.Builder<Arguments> all = Stream.builder();
        for (String biased : List.of("qwen2", "opt", "gpt2")) all.add(weights(biased, "bias of q, k, v", noQkvBias, sameFfn));
        for (String biased : List.of("opt", "gpt2")) {
            all.add(weights(biased, "bias of the output", noOutputBias, sameFfn));
            all.add(weights(biased, "bias of up", sameAttention, noUpBias));
            all.add(weights(biased, "bias of down", sameAttention, noDownBias));
            all.add(Arguments.of(biased, "positions", false, new Change(UnaryOperator.identity(),
                    w -> new Weights(w.embedding(), null, w.layers(), w.norm(), w.output()))));
            all.add(spec(biased, "layer norm", false, s -> s.withNorms(Norm.Kind.RMS)));
            all.add(Arguments.of(biased, "bias of the last norm", false, new Change(UnaryOperator.identity(),
                    w -> new Weights(w.embedding(), w.positions(), w.layers(), unbiased(w.norm()), w.output()))));
        }
        all.add(spec("opt", "offset of positions", false, s -> s.withEmbedding(1, 0)));
        all.add(spec("opt", "ReLU", false, s -> s.withActivation(Activation.GELU_TANH)));
        all.add(spec("gpt2", "GELU", false, s -> s.withActivation(Activation.RELU)));
        for (String normed : List.of("qwen3", "gemma3")) all.add(weights(normed, "q and k norm", noHeadNorm, sameFfn));
        for (String windowed : List.of("mistral", "gemma2", "gemma3", "phi3")) {
            all.add(layers(windowed, "window", false, noWindow));
            all.add(layers(windowed, "window, far", true, noWindow));
            all.add(layers(windowed, "length of the window", false, l -> l.withWindow(l.window() == 0 ? 0 : l.window() + 1)));
        }
        for (String mixed : List.of("gemma2", "gemma3")) {
            all.add(layers(mixed, "layers without a window", false, l -> l.withWindow(20)));
            all.add(weights(mixed, "norm after attention", noPostAttention, sameFfn));
            all.add(weights(mixed, "norm after the feed-forward block", sameAttention, noPostFfn));
            all.add(spec(mixed, "scale of embeddings", false, s -> s.withEmbedding(1, 0)));
            all.add(spec(mixed, "scale of scores", false,
                    s -> s.withAttention((float) (1 / Math.sqrt(s.headSize())), s.attentionCap())));
            all.add(spec(mixed, "GELU", false, s -> s.withActivation(Activation.SILU)));
        }
        all.add(spec("gemma2", "soft cap of scores", false, s -> s.withAttention(s.attentionScale(), 0)));
        all.add(spec("gemma2", "soft cap of logits", false, s -> s.withLogitCap(0)));
        all.add(layers("gemma3", "rotation of layers with a window", false,
                l -> l.withRope(new RopeSpec(16, 1e6, false, new Scaling.None()))));
        for (String scaled : List.of("llama-linear", "llama-yarn", "llama-llama3", "gemma3", "phi3-longrope")) {
            all.add(rope(scaled, "RoPE scaling", false, plain));
            all.add(rope(scaled, "RoPE scaling, far", true, plain));
        }
        all.add(rope("llama-dynamic", "RoPE scaling, far", true, plain));
        all.add(rope("llama-yarn", "YaRN's factor of attention", false, r -> r.withScaling(withoutAttention(r.scaling()))));
        all.add(rope("phi3-longrope", "LongRoPE's factor of attention", false, r -> r.withScaling(withoutAttention(r.scaling()))));
        all.add(rope("phi3-longrope", "LongRoPE's long factors", true, FamilyConformance::shortOnly));
        all.add(rope("phi3-longrope", "partial rotation", false, FamilyConformance::whole));
        all.add(rope("llama", "neighbours pair", false, r -> new RopeSpec(r.dims(), r.base(), false, r.scaling())));
        for (String gated : List.of("llama", "qwen3", "gemma2", "phi3")) {
            all.add(weights(gated, "gate", sameAttention, noGate));
            all.add(weights(gated, "order of gate and up", sameAttention, swapped));
        }
        all.add(layers("mistral", "groups of query heads", false,
                l -> new Layer(l.index(), new int[]{0, 1, 0, 1}, l.kvHeads(), l.ffn(), l.window(), l.rope())));
        return all.build();
    }

    @ParameterizedTest(name = "{0} without: {1}")
    @MethodSource("features")
    void withoutAFeatureTheComparisonFails(String name, String feature, boolean tail, Change without) {
        assumeTrue(whole(), "skipped: the controls take too long on these kernels");
        double error = error(Golden.of(name), tail, without);
        assertTrue(error > 1e-5, name + " without " + feature + " agrees all the same: NMSE " + error);
    }

    @Test
    void everyFamilyHasACheckpoint() throws IOException {
        Set<String> made = new HashSet<>();
        for (String name : families().toList()) {
            try (ModelFile file = ModelFile.open(FAMILIES.resolve(name).resolve("model.gguf"))) {
                made.add(Decoder.spec(file).family());
                assertEquals(List.of(), Decoder.unused(file), name);
            }
        }
        assertEquals(new HashSet<>(Families.ALL.stream().flatMap(f -> f.architectures().stream()).toList()), made);
    }
}
