package dev.lacuna.model;

import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * How one family of models writes its shape. A new family is one file that implements this, and its line in {@link #ALL}; tensors have the names of
 * GGUF, which {@link Blocks} reads for all.
 */
interface Family {
    List<Family> ALL = List.of(new LlamaFamily(), new Qwen2Family(), new Qwen3Family(), new Gemma2Family(), new Gemma3Family(),
            new Phi3Family(),
            new OptFamily(), new Gpt2Family());

    /** Values of {@code general.architecture} that it reads. */
    List<String> architectures();

    /** Values of {@code model_type} in a {@code config.json} that mean it. */
    List<String> modelTypes();

    /** Says where a folder of this family differs from what {@link FolderMapping} expects of all. */
    default void folder(FolderMapping folder) {}

    ModelSpec spec(Reading file);

    /** Modules that every file of the family has; biases of projections may be there in any. */
    default Set<Blocks.Part> parts() {
        return Set.of();
    }

    /** The tensors of the layers that {@code spec} keeps, their shapes checked against it. */
    default Weights weights(Reading file, ModelSpec spec) {
        return new Blocks(file, spec, parts()).all();
    }

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
