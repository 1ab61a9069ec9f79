package dev.lacuna.model;

import dev.lacuna.ops.Activation;
import java.util.List;
import java.util.Set;

/** Qwen 2 and 2.5: Llama's shape with biases on q, k and v; some of the larger ones have windows. */
final class Qwen2Family implements Family {
    @Override
    public List<String> architectures() {
        return List.of("qwen2");
    }

    @Override
    public List<String> modelTypes() {
        return List.of("qwen2");
    }

    @Override
    public void folder(FolderMapping folder) {
        folder.otherwise("use_sliding_window", false).otherwise("max_window_layers", 28);
    }

    @Override
    public ModelSpec spec(Reading file) {
        Shape s = Shape.of(file, "qwen2");
        RopeSpec rope = s.rope(false);
        return s.spec("qwen2", Activation.SILU, s.windows(0, 0, rope, rope));
    }

    @Override
    public Set<Blocks.Part> parts() {
        return Set.of(Blocks.Part.GATE, Blocks.Part.QKV_BIAS);
    }
}
