package dev.lacuna.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.Checkout;
import dev.lacuna.Evaluation;
import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import dev.lacuna.generate.Result;
import dev.lacuna.generate.Sampling;
import dev.lacuna.hub.ModelNotAvailableException;
import dev.lacuna.hub.ModelStore;
import dev.lacuna.hub.Progress;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvType;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The real Gemma 3 270M, Q4_K_M, against PyTorch in single precision on the same dequantized weights ({@code models/gemma3-270m}). */
class Gemma3Test {
    private static Path model;
    private static JsonNode golden;

    @BeforeAll
    static void find() {
        golden = JsonMapper.shared().readTree(Checkout.root().resolve("models/gemma3-270m/golden.json").toFile());
        try {
            model = ModelStore.open().pull("gemma-3-270m", Progress.NONE);
        } catch (ModelNotAvailableException e) {
            abort("skipped: Gemma 3 270M cannot be had here: " + e.getMessage());
        }
    }

    private static Lacuna open(String kernels) {
        NativeTier.assumeHere(kernels);
        return Lacuna.open(model,
                Options.DEFAULT.withKernels(kernels).withActivations(InputPolicy.F32).withKv(KvType.F32).withContext(1024));
    }

    private static int[] ints(JsonNode node) {
        return JsonMapper.shared().convertValue(node, int[].class);
    }

    @ParameterizedTest
    @CsvSource({"reference, 1", "vector, 2", "native, 4"})
    void likelihoodOfRealText(String kernels, int windows) {
        // minutes; it runs every family's fixture beside golden values of PyTorch, this one's too
        assumeTrue(!kernels.equals("reference") || Boolean.getBoolean("lacuna.test.full"), "skipped: see lacuna.test.full");
        int window = golden.get("window").asInt();
        try (Lacuna m = open(kernels)) {
            Evaluation e = m.evaluate(ints(golden.get("ids")), window, windows, false, w -> {});
            double expected = 0;
            for (int w = 0; w < windows; w++) {
                expected += golden.get("nll").get(w).asDouble();
                assertEquals(1, e.nll()[w] / golden.get("nll").get(w).asDouble(), 3e-4, "window " + w);
            }
            double perplexity = Math.exp(expected / (windows * (window - 1.0)));
            System.out.printf("%s: perplexity %.5f over %d windows, PyTorch %.5f%n", kernels, e.perplexity(), windows, perplexity);
            assertEquals(1, e.perplexity() / perplexity, 3e-4);
        }
    }

    /** Greedy continuations, compared for as long as the best token is ahead by more than rounding can change. */
    @ParameterizedTest
    @ValueSource(strings = {"vector", "native"})
    void continuations(String kernels) {
        try (Lacuna m = open(kernels)) {
            int compared = 0;
            for (JsonNode p : golden.get("prompts")) {
                assertArrayEquals(ints(p.get("ids")), m.encode(p.get("text").asString()), p.get("text").asString());
                int[] expected = ints(p.get("greedy"));
                Result r = m.generate(ints(p.get("ids")), Sampling.GREEDY.withMaxTokens(expected.length)).result();
                int[] got = r.outputIds();
                int n = 0;
                while (n < got.length && p.get("margin").get(n).asDouble() > 0.02) n++;
                assertArrayEquals(Arrays.copyOf(expected, n), Arrays.copyOf(got, n), p.get("text").asString());
                if (n == expected.length) assertEquals(p.get("says").asString(), r.text());
                compared += n;
            }
            assertTrue(compared >= 40, "only " + compared + " tokens had a margin");
        }
    }

    @Test
    void infoNamesTheFamilyAndWhatOfItIsUsed() {
        try (Lacuna m = open("plain")) {
            assertEquals("gemma3", m.info().spec().family());
            assertTrue(m.info().features().containsAll(List.of("q and k norms", "norms after blocks", "window of 512 in 15 of 18 layers")),
                    m.info().features().toString());
            assertEquals(List.of(), m.info().unused());
        }
    }
}
