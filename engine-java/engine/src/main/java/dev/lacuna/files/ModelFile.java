package dev.lacuna.files;

import dev.lacuna.tensor.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A model at rest: metadata, and tensors that are slices of the mapped file. Any thread may read it. After {@link #close} the tensors' memory is gone
 * and touching it is an {@link IllegalStateException}. The file must not change while it is open.
 */
public sealed interface ModelFile extends AutoCloseable permits Gguf, Safetensors, GgufView {
    /**
     * Maps a GGUF file, or the safetensors of a Hugging Face folder, and checks everything that it says about itself.
     *
     * @throws ModelFileException if it cannot be read or is malformed
     */
    static ModelFile open(Path path) {
        boolean folder = Files.isDirectory(path) || String.valueOf(path.getFileName()).endsWith(".safetensors");
        return folder ? Safetensors.open(path) : Gguf.open(path);
    }

    /** The file that was opened; of a split model the first part. */
    Path path();

    /**
     * Keys and values in the file's order. Integers are {@link Long}, floating point {@link Double}, else {@link Boolean} and {@link String}; arrays are
     * {@code String[]}, {@code int[]} (of 8-bit and 16-bit integers and i32), {@code long[]} (of u32, i64, u64), {@code float[]}, {@code double[]} and
     * {@code boolean[]}. The arrays are not copies and not to be written.
     */
    Map<String, Object> metadata();

    /** The names of all tensors in the file's order. */
    default Set<String> names() {
        return tensors().keySet();
    }

    /** What the file says of each tensor, in the file's order. */
    Map<String, TensorInfo> tensors();

    /**
     * The tensor of that name, with the contiguous dimension as columns and the product of all others as rows; a vector has one row.
     *
     * @throws ModelFileException if there is none, or its packing is one that the engine does not read
     */
    default Tensor tensor(String name) {
        return find(name).orElseThrow(() -> new ModelFileException(path(), "tensor " + ModelFileException.quoted(name),
                "is not in the file, which has " + tensors().size() + " others"));
    }

    /**
     * The tensor of that name, if there is one.
     *
     * @throws ModelFileException if its packing is one that the engine does not read
     */
    Optional<Tensor> find(String name);

    /** Unmaps the file; closing twice does nothing. */
    @Override
    void close();
}
