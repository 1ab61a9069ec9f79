package dev.lacuna.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Checkout;
import dev.lacuna.files.ModelFile;
import dev.lacuna.kernels.opencl.OpenClTier;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.tensor.Format;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A small real model says on the device what it says on the processor, in every format of its weights, its activations and its cache. */
class OpenClStoriesTest {
    private static final int TOKENS = 64;

    static Stream<Arguments> models() {
        return OpenClTier.formats().filter(f -> f.group() <= 64).flatMap(f -> Stream.of(Arguments.of(f, InputPolicy.F32, KvType.F16),
                Arguments.of(f, InputPolicy.I8, f.group() == 1 ? KvType.F32 : KvType.I8)));
    }

    /** Greedy tokens after a prompt; matrices whose rows are no whole number of the format's blocks stay as they are. */
    private static int[] say(String kernels, int[] prompt, Format weights, InputPolicy inputs, KvType kv) {
        try (Arena arena = Arena.ofShared();
                ModelFile file = ModelFile.open(Checkout.shared("models/stories260K/stories260K-f32.gguf"));
                CheckedOps ops = Backends.find().open(new OpsOptions(2, kernels, true))) {
            ModelSpec spec = Decoder.spec(file);
            Limits limits = new Limits(prompt.length, 1, 1, 8);
            Decoder decoder = Decoder.place(file, spec, ops, 256, inputs, t -> t.cols() % weights.group() == 0 ? t.as(weights, arena) : t);
            int[] ids = Arrays.copyOf(prompt, prompt.length + TOKENS);
            try (KvPool pool = ops.kv(spec.kv(kv), 9); ForwardPass pass = decoder.pass(limits, pool)) {
                Batch batch = new Batch(limits);
                for (int at = 0, n = prompt.length; n < ids.length; at = n++) {
                    batch.clear(8);
                    batch.addSequence(new int[]{8, 7, 6, 5, 4, 3, 2, 1}, 8);
                    for (int p = at; p < n; p++) batch.addRow(ids[p], p, p == n - 1);
                    pass.run(batch);
                    ids[n] = pass.best()[0];
                }
            }
            return Arrays.copyOfRange(ids, prompt.length, ids.length);
        }
    }

    @ParameterizedTest
    @MethodSource("models")
    void saysWhatTheProcessorSays(Format weights, InputPolicy inputs, KvType kv) {
        String opencl = OpenClTier.name();
        JsonNode golden = JsonMapper.shared().readTree(Checkout.root().resolve("models/stories260K/golden.json").toFile());
        int[] prompt = JsonMapper.shared().convertValue(golden.get("promptIds"), int[].class);
        int[] expected = say("plain", prompt, weights, inputs, kv);
        assertTrue(Arrays.stream(expected).distinct().count() >= 20, () -> "says little: " + Arrays.toString(expected));
        assertArrayEquals(expected, say(opencl, prompt, weights, inputs, kv));
    }
}
