package dev.lacuna.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Checkout;
import dev.lacuna.files.GgufWriter;
import dev.lacuna.files.ModelFile;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.OpsOptions;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What no family knows is refused by name, and what does no harm is listed. */
class RefusalTest {
    @TempDir
    Path folder;

    private static Arguments wrong(String message, Consumer<GgufWriter> change) {
        return Arguments.of(message, change);
    }

    static Stream<Arguments> refused() {
        return Stream.of(
                wrong("architecture 'mamba' is not supported; supported: llama, qwen2, qwen3, gemma2, gemma3, phi3, opt, gpt2",
                        w -> w.put("general.architecture", "mamba")),
                wrong("llama.expert_count is 8: that is not supported", w -> w.put("llama.expert_count", 8)),
                wrong("llama.logit_scale is 0.5: that is not supported", w -> w.put("llama.logit_scale", 0.5f)),
                wrong("llama.use_parallel_residual is true: that is not supported", w -> w.put("llama.use_parallel_residual", true)),
                wrong("llama.attention.causal is false", w -> w.put("llama.attention.causal", false)),
                wrong("llama.hidden_activation 'xielu' is not supported; supported: silu, gelu",
                        w -> w.put("llama.hidden_activation", "xielu")),
                wrong("llama.rope.scaling.type 'spiral' is not supported; supported: none, linear",
                        w -> w.put("llama.rope.scaling.type", "spiral")),
                wrong("llama.attention.sliding_window_pattern is neither a number nor one for each layer",
                        w -> w.put("llama.attention.sliding_window", 8).put("llama.attention.sliding_window_pattern", new boolean[]{true})),
                wrong("rope_freqs.weight has 3 values for 8 pairs", w -> w.vector("rope_freqs.weight", new float[3])),
                wrong("tensor blk.1.attn_sinks.weight is in the file and the family llama does not know it",
                        w -> w.vector("blk.1.attn_sinks.weight", new float[4])));
    }

    @ParameterizedTest
    @MethodSource("refused")
    void refused(String message, Consumer<GgufWriter> change) {
        GgufWriter w = message.contains("mamba") ? new GgufWriter() : new TinyLlama().writer(1);
        change.accept(w);
        try (ModelFile file = ModelFile.open(w.write(folder.resolve("wrong.gguf")))) {
            ModelException e = assertThrows(ModelException.class, () -> Decoder.spec(file));
            assertTrue(e.getMessage().contains(message), e.getMessage());
        }
    }

    @Test
    void whatDoesNoHarmIsListed() {
        GgufWriter w = new TinyLlama().writer(1).put("llama.expert_count", 0).put("llama.novelty", 3).put("quantize.imatrix.file", "x")
                .vector("blk.0.attn_rot_embd.weight", new float[8]).vector("v.patch_embd.weight", new float[8]);
        try (ModelFile file = ModelFile.open(w.write(folder.resolve("more.gguf")))) {
            Decoder.spec(file);
            assertEquals(List.of("llama.novelty", "blk.0.attn_rot_embd.weight", "v.patch_embd.weight"), Decoder.unused(file));
        }
    }

    @Test
    void moreContextThanLearnedPositionsIsRefused() {
        Path gpt2 = Checkout.root().resolve("models/families/gpt2/model.gguf");
        try (ModelFile file = ModelFile.open(gpt2);
                CheckedOps ops = Backends.find().open(new OpsOptions(1, "reference", false))) {
            ModelSpec spec = Decoder.spec(file);
            ModelException e = assertThrows(ModelException.class,
                    () -> Decoder.place(file, spec, ops, 257, InputPolicy.F32, t -> t));
            assertTrue(e.getMessage().contains("has 256 learned positions, not 257; choose a smaller context"), e.getMessage());
        }
    }
}
