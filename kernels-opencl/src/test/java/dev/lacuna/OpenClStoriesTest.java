package dev.lacuna;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.generate.Sampling;
import dev.lacuna.kernels.opencl.OpenClTier;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvType;
import dev.lacuna.tensor.Format;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A small real model says on the device what it says on the processor, in every format of its weights, its activations and its cache. */
class OpenClStoriesTest {
    private static final int[] PROMPT = {1, 403, 407, 261, 378, 432, 410, 266, 271, 285, 297, 301};

    static Stream<Arguments> models() {
        return OpenClTier.formats().filter(f -> f.group() <= 64).flatMap(f -> Stream.of(InputPolicy.F32, InputPolicy.I8)
                .flatMap(i -> Stream.of(KvType.F32, f.group() == 1 ? KvType.F16 : KvType.I8).map(kv -> Arguments.of(f, i, kv))));
    }

    private static int[] say(String kernels, Format weights, InputPolicy inputs, KvType kv) {
        Path model = Checkout.shared("models/stories260K/stories260K-f32.gguf");
        Options options = Options.DEFAULT.withKernels(kernels).withWeights(weights).withActivations(inputs).withKv(kv).withContext(256);
        try (Lacuna m = Lacuna.open(model, options)) {
            return m.generate(PROMPT, Sampling.GREEDY.withMaxTokens(48)).result().outputIds();
        }
    }

    @ParameterizedTest
    @MethodSource("models")
    void saysWhatTheProcessorSays(Format weights, InputPolicy inputs, KvType kv) {
        int[] expected = say("plain", weights, inputs, kv);
        assertTrue(Arrays.stream(expected).distinct().count() >= 12, () -> "says little: " + Arrays.toString(expected));
        assertArrayEquals(expected, say(OpenClTier.name(), weights, inputs, kv));
    }
}
