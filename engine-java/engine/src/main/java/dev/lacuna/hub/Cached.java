package dev.lacuna.hub;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A model in the store.
 *
 * @param name   what {@link ModelStore#remove} takes: the catalogue's name, or one made of the source
 * @param path   the file to open, the first part of several, or a model folder
 * @param bytes  of all its files
 * @param source where it came from
 * @param sha256 of the file, or of the weights of a folder; null for a split file or split weights
 */
public record Cached(String name, Path path, long bytes, String source, @Nullable String sha256) {
}
