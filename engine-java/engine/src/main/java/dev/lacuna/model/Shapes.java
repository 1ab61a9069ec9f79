package dev.lacuna.model;

import dev.lacuna.files.ModelFile;
import dev.lacuna.tensor.Tensor;

/** Gets tensors by name and refuses a shape that the spec does not say. */
record Shapes(ModelFile file) {
    Tensor matrix(String name, int rows, int cols) {
        Tensor t = file.tensor(name);
        if (t.rows() != rows || t.cols() != cols) {
            throw new ModelException(
                    file.path().getFileName() + ": " + name + " is " + t.rows() + " x " + t.cols() + ", the metadata says " + rows + " x " + cols);
        }
        return t;
    }

    Tensor vector(String name, int size) {
        return matrix(name, 1, size);
    }
}
