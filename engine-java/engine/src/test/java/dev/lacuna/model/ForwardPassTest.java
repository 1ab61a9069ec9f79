package dev.lacuna.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Checkout;
import dev.lacuna.files.ModelFile;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.OpsOptions;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class ForwardPassTest {
    @TempDir
    Path folder;

    private static CheckedOps reference() {
        return Backends.find().open(new OpsOptions(1, "reference", false));
    }

    /** Logits of the last row of each sequence, fed in steps of the given sizes through blocks that are handed out crosswise. */
    private static float[][] logits(ModelFile file, ModelSpec spec, int[][] sequences, int... steps) {
        Limits limits = new Limits(128, 4, 4, 8);
        try (CheckedOps ops = reference()) {
            Decoder decoder = Decoder.place(file, spec, ops, 256, InputPolicy.F32, UnaryOperator.identity());
            try (ForwardPass pass = decoder.pass(limits); KvPool kv = ops.kv(spec.kv(KvType.F32), 64)) {
                Batch batch = new Batch(limits);
                float[][] last = new float[sequences.length][];
                int[] fed = new int[sequences.length];
                for (int step : steps) {
                    batch.clear(8);
                    for (int s = 0; s < sequences.length; s++) {
                        int[] blocks = new int[8];
                        for (int i = 0; i < 8; i++) blocks[i] = 1 + (7 - i) * sequences.length + s;
                        batch.addSequence(blocks, 8);
                        for (int t = 0; t < step; t++) batch.addRow(sequences[s][fed[s]], fed[s]++, t == step - 1);
                    }
                    pass.run(batch, kv);
                    float[] all = pass.logits();
                    for (int s = 0; s < sequences.length; s++) {
                        last[s] = Arrays.copyOfRange(all, s * spec.vocabulary(), (s + 1) * spec.vocabulary());
                    }
                }
                return last;
            }
        }
    }

    private float[][] tiny(TinyLlama model, int[] layers, int[][] sequences, int... steps) {
        try (ModelFile file = ModelFile.open(model.write(folder, 7))) {
            ModelSpec spec = Decoder.spec(file);
            return logits(file, layers == null ? spec : spec.withLayers(layers), sequences, steps);
        }
    }

    private static int[] ids(int seed, int n) {
        return new SplittableRandom(seed).ints(n, 0, TinyLlama.VOCABULARY).toArray();
    }

    @Test
    void twoSequencesInOnePagedBatchAreEachAsAlone() {
        int[] a = ids(1, 40);
        int[] b = ids(2, 40);
        float[][] both = tiny(new TinyLlama(), null, new int[][] {a, b}, 33, 6, 1);
        assertArrayEquals(tiny(new TinyLlama(), null, new int[][] {a}, 40)[0], both[0]);
        assertArrayEquals(tiny(new TinyLlama(), null, new int[][] {b}, 1, 1, 38)[0], both[1]);
    }

    @Test
    void layersDifferAndModulesMayBeAbsent() {
        int[][] text = {ids(3, 20)};
        TinyLlama uneven = new TinyLlama().layers(new int[] {4, 2, 4}, new int[] {2, 1, 4}, new int[] {96, 32, 64});
        TinyLlama sparse = new TinyLlama().layers(new int[] {4, 0, 4}, new int[] {2, 0, 4}, new int[] {96, 32, 0});
        float[] whole = tiny(uneven, null, text, 20)[0];
        float[] less = tiny(sparse, null, text, 20)[0];
        assertEquals(TinyLlama.VOCABULARY, whole.length);
        assertTrue(Arrays.mismatch(whole, less) >= 0, "absent modules must change the result");
    }

    @Test
    void aLayerThatIsLeftOutIsAsIfItAddedNothing() {
        int[][] text = {ids(4, 20)};
        float[] dropped = tiny(new TinyLlama(), new int[] {0, 2}, text, 20)[0];
        float[] silent = tiny(new TinyLlama().silent(1), null, text, 20)[0];
        float[] whole = tiny(new TinyLlama(), null, text, 20)[0];
        assertArrayEquals(silent, dropped);
        assertTrue(Arrays.mismatch(whole, dropped) >= 0);
        assertThrows(ModelException.class, () -> tiny(new TinyLlama(), new int[] {0, 3}, text, 20));
        assertThrows(ModelException.class, () -> tiny(new TinyLlama(), new int[] {2, 1}, text, 20));
    }

    @Test
    void tiedOutputIsTheEmbedding() {
        int[][] text = {ids(5, 5)};
        assertTrue(Arrays.mismatch(tiny(new TinyLlama().tied(), null, text, 5)[0], tiny(new TinyLlama(), null, text, 5)[0]) >= 0);
    }

    @Test
    void storiesAgreesWithTransformers() throws Exception {
        JsonNode golden = JsonMapper.shared().readTree(Checkout.root().resolve("models/stories260K/golden.json").toFile());
        int[] prompt = JsonMapper.shared().convertValue(golden.get("promptIds"), int[].class);
        int[] output = JsonMapper.shared().convertValue(golden.get("outputIds"), int[].class);
        int[] text = Arrays.copyOf(prompt, prompt.length + output.length);
        System.arraycopy(output, 0, text, prompt.length, output.length);
        try (ModelFile file = ModelFile.open(Checkout.shared("models/stories260K/stories260K-f32.gguf")); CheckedOps ops = reference()) {
            ModelSpec spec = Decoder.spec(file);
            Limits limits = new Limits(text.length, 1, text.length, 8);
            Decoder decoder = Decoder.place(file, spec, ops, 256, InputPolicy.F32, UnaryOperator.identity());
            try (ForwardPass pass = decoder.pass(limits); KvPool kv = ops.kv(spec.kv(KvType.F32), 9)) {
                Batch batch = new Batch(limits);
                batch.clear(8);
                batch.addSequence(new int[] {8, 7, 6, 5, 4, 3, 2, 1}, 8);
                for (int p = 0; p < text.length - 1; p++) batch.addRow(text[p], p, true);
                pass.run(batch, kv);
                float[] logits = pass.logits();
                int[] best = pass.best();
                for (int p = 0; p < text.length - 1; p++) {
                    if (p >= prompt.length - 1) assertEquals(text[p + 1], best[p], "token " + (p + 1));
                    double sum = 0;
                    for (int v = 0; v < spec.vocabulary(); v++) sum += Math.exp(logits[p * spec.vocabulary() + v]);
                    double nll = Math.log(sum) - logits[p * spec.vocabulary() + text[p + 1]];
                    assertEquals(golden.get("nll").get(p).asDouble(), nll, 2e-4, "nll of token " + (p + 1));
                }
            }
        }
    }
}
