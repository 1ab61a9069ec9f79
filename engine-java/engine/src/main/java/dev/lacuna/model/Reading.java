package dev.lacuna.model;

import dev.lacuna.files.ModelFile;
import dev.lacuna.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** A file as a family reads it: remembers what was asked for, so that what was not can be named. */
final class Reading {
    private final ModelFile file;
    private final List<String> unreadConfig;
    private final Set<String> keys = new TreeSet<>();
    private final Set<String> tensors = new TreeSet<>();

    Reading(ModelFile file) {
        FolderMapping.Read read = FolderMapping.read(file);
        this.file = read.file();
        unreadConfig = read.unread();
    }

    /** The file's name, for messages. */
    String name() {
        return String.valueOf(file.path().getFileName());
    }

    @Nullable
    Object key(String key) {
        keys.add(key);
        return file.metadata().get(key);
    }

    /** Whether the tensor is in the file; asking does not count as reading it. */
    boolean has(String tensor) {
        return file.names().contains(tensor);
    }

    Tensor tensor(String name) {
        tensors.add(name);
        return file.tensor(name);
    }

    Optional<Tensor> find(String name) {
        tensors.add(name);
        return file.find(name);
    }

    /** A matrix of that shape. */
    Tensor matrix(String name, int rows, int cols) {
        Tensor t = tensor(name);
        if (t.rows() != rows || t.cols() != cols) {
            throw new ModelException(
                    name() + ": " + name + " is " + t.rows() + " x " + t.cols() + ", the metadata says " + rows + " x " + cols);
        }
        return t;
    }

    Tensor vector(String name, int size) {
        return matrix(name, 1, size);
    }

    /** Tensors that nobody asked for. */
    List<String> unreadTensors() {
        return file.names().stream().filter(t -> !tensors.contains(t)).toList();
    }

    /** Keys of the architecture that nobody asked for: what {@code general}, {@code tokenizer} and {@code split} say is not the model's business. */
    List<String> unreadKeys() {
        List<String> unread = new ArrayList<>(unreadConfig);
        for (String key : file.metadata().keySet()) {
            if (!keys.contains(key) && !key.matches("(general|tokenizer|split|quantize)\\..*")) unread.add(key);
        }
        return unread;
    }
}
