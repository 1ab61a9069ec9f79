package dev.lacuna.files;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Maps whole files. */
final class Mapping {
    private Mapping() {}

    /**
     * A file's bytes, read-only, for as long as the arena lives.
     *
     * @throws ModelFileException if it is not a regular file, cannot be read, or is being written
     */
    static MemorySegment of(Path path, Arena arena) {
        // a pipe would block the opening of it
        if (!Files.isRegularFile(path))
            throw new ModelFileException(path, "file", Files.exists(path) ? "is not a regular file" : "does not exist");
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            long size = channel.size();
            MemorySegment bytes = channel.map(MapMode.READ_ONLY, 0, size, arena);
            if (channel.size() != size)
                throw new ModelFileException(path, "file", "is being written: its length changed while it was opened");
            return bytes;
        } catch (IOException e) {
            throw new ModelFileException(path, "file", "cannot be read: " + e.getMessage(), e);
        }
    }
}
