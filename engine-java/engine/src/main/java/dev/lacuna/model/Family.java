package dev.lacuna.model;

import java.util.List;
import java.util.Set;

/**
 * How one family of models writes its shape. A new family is one file that implements this, and its line in {@link Families#ALL}; tensors have the names of
 * GGUF, which {@link Blocks} reads for all.
 */
interface Family {
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
}
