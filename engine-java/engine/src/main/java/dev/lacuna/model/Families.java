package dev.lacuna.model;

import java.util.List;
import java.util.stream.Collectors;

/** Every family that the engine knows. */
final class Families {
    static final List<Family> ALL = List.of(new LlamaFamily(), new Qwen2Family(), new Qwen3Family(), new Gemma2Family(), new Gemma3Family(),
            new Phi3Family(), new OptFamily(), new Gpt2Family());

    private Families() {}

    /**
     * The family of a file.
     *
     * @throws ModelException naming the architecture and the supported ones
     */
    static Family of(Reading file) {
        Object architecture = file.key("general.architecture");
        for (Family f : ALL) {
            if (architecture instanceof String a && f.architectures().contains(a)) return f;
        }
        throw new ModelException(file.name() + ": "
                + (architecture == null ? "no general.architecture" : "architecture '" + architecture + "' is not supported")
                + "; supported: "
                + ALL.stream().flatMap(f -> f.architectures().stream()).collect(Collectors.joining(", ")));
    }
}
