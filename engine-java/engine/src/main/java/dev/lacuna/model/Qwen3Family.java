package dev.lacuna.model;

import dev.lacuna.ops.Activation;
import java.util.List;
import java.util.Set;

/** Qwen 3: Llama's shape with a norm of each head of q and k in place of Qwen 2's biases. */
final class Qwen3Family implements Family {
    @Override
    public List<String> architectures() {
        return List.of("qwen3");
    }

    @Override
    public List<String> modelTypes() {
        return List.of("qwen3");
    }

    @Override
    public void folder(FolderMapping folder) {
        folder.otherwise("use_sliding_window", false).otherwise("max_window_layers", 28);
    }

    @Override
    public ModelSpec spec(Reading file) {
        Shape s = Shape.of(file, "qwen3");
        RopeSpec rope = s.rope(false);
        return s.spec("qwen3", Activation.SILU, s.windows(0, 0, rope, rope));
    }

    @Override
    public Set<Blocks.Part> parts() {
        return Set.of(Blocks.Part.GATE, Blocks.Part.HEAD_NORM);
    }
}
