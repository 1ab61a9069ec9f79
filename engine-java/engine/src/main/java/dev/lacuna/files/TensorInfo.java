package dev.lacuna.files;

import dev.lacuna.tensor.Format;
import java.util.Optional;

/**
 * What a file says about one tensor, readable or not.
 *
 * @param dims   sizes as the file lists them; GGUF begins with the contiguous one
 * @param type   the packing's name in the file's own terms, also where the engine cannot read it
 * @param format the packing, empty where the engine cannot read it
 * @param offset byte of its file at which the values begin
 * @param bytes  bytes of the values; -1 where {@code format} is empty
 */
@SuppressWarnings("ArrayRecordComponent") // the accessor hands out copies
public record TensorInfo(String name, long[] dims, String type, Optional<Format> format, long offset, long bytes) {
    public TensorInfo {
        dims = dims.clone();
    }

    @Override
    public long[] dims() {
        return dims.clone();
    }
}
