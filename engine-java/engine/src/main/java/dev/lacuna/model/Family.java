package dev.lacuna.model;

import dev.lacuna.files.ModelFile;
import java.util.List;
import java.util.stream.Collectors;

/** How one family of models writes its shape and names its tensors. A new family is one file that implements this, and its line in {@link #ALL}. */
interface Family {
    List<Family> ALL = List.of(new LlamaFamily());

    /** Values of {@code general.architecture} that it reads. */
    List<String> architectures();

    /** Values of {@code model_type} in a {@code config.json} that mean it. */
    List<String> modelTypes();

    /** The architecture that a {@code model_type} is. */
    default String architecture(String modelType) {
        return architectures().getFirst();
    }

    /** Says where a folder of this family differs from what {@link FolderMapping} expects of all. */
    default void folder(FolderMapping folder) {}

    ModelSpec spec(ModelFile file);

    /** The tensors of the layers that {@code spec} keeps, their shapes checked against it. */
    Weights weights(ModelFile file, ModelSpec spec);

    /**
     * The family of a file.
     *
     * @throws ModelException naming the architecture and the supported ones
     */
    static Family of(ModelFile file) {
        Object architecture = file.metadata().get("general.architecture");
        for (Family f : ALL) {
            if (architecture instanceof String a && f.architectures().contains(a)) return f;
        }
        throw new ModelException(file.path().getFileName() + ": " + (architecture == null
                ? "no general.architecture"
                : "architecture '" + architecture + "' is not supported") + "; supported: "
                + ALL.stream().flatMap(f -> f.architectures().stream()).collect(Collectors.joining(", ")));
    }
}
