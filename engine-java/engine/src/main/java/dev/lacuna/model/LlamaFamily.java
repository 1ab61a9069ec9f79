package dev.lacuna.model;

import dev.lacuna.ops.Activation;
import java.util.List;
import java.util.Set;

/**
 * Llama 1 to 3.x and what shares its shape: SmolLM2, TinyLlama, Mistral, Alpaca, Vicuna, WizardLM. RMS norms before each block, rotary positions,
 * grouped queries, SwiGLU.
 */
final class LlamaFamily implements Family {
    @Override
    public List<String> architectures() {
        return List.of("llama");
    }

    @Override
    public List<String> modelTypes() {
        return List.of("llama", "mistral");
    }

    @Override
    public void folder(FolderMapping folder) {
        folder.key("rope.interleaved", false);
    }

    @Override
    public ModelSpec spec(Reading file) {
        Shape s = Shape.of(file, "llama");
        // GGUF's converter reorders the rows of q and k so that neighbours pair; a file that was not converted says so
        RopeSpec rope = s.rope(s.keys().flag("rope.interleaved").orElse(true));
        return s.spec("llama", Activation.SILU, s.windows(0, 0, rope, rope));
    }

    @Override
    public Set<Blocks.Part> parts() {
        return Set.of(Blocks.Part.GATE);
    }
}
