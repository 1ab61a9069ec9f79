package dev.lacuna.files;

import static dev.lacuna.files.ModelFileException.quoted;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A GGUF model, version 2 or 3, little-endian; in one file or split in parts {@code NAME-00001-of-0000N.gguf}, of which the first is opened and the
 * others are found beside it. Limits: 65,536 keys, 100,000 tensors, names of 1 KiB, strings of 16 MiB, 4 dimensions, 1,024 parts.
 */
public final class Gguf implements ModelFile {
    private static final Pattern PART = Pattern.compile("(.*-)(\\d{5})-of-(\\d{5})(\\.gguf)");
    private static final int MOST_PARTS = 1024;

    private final Path path;
    private final Map<String, Object> metadata;
    private final Map<String, Optional<Tensor>> readable = new LinkedHashMap<>();
    private final Map<String, TensorInfo> tensors;
    private final Arena arena;

    /** @param parts parsed over memory of the arena, which this object then owns */
    Gguf(Path path, List<GgufPart> parts, Arena arena) {
        this.path = path;
        this.arena = arena;
        metadata = parts.getFirst().metadata();
        Map<String, TensorInfo> infos = new LinkedHashMap<>();
        for (GgufPart part : parts) {
            part.entries().forEach((name, entry) -> {
                if (infos.put(name, entry.info()) != null) {
                    throw new ModelFileException(part.path(), "tensor " + quoted(name), "is also in an earlier part");
                }
                readable.put(name, entry.tensor());
            });
        }
        tensors = Collections.unmodifiableMap(infos);
    }

    /**
     * Maps the file, and the other parts of a split one.
     *
     * @throws ModelFileException if one cannot be read or is malformed
     */
    @SuppressWarnings("MustBeClosedChecker") // the arena is the model's, and close() closes it
    public static Gguf open(Path path) {
        Arena arena = Arena.ofShared();
        try {
            GgufPart first = map(path, arena);
            return new Gguf(path, parts(first, arena), arena);
        } catch (Throwable e) {
            arena.close();
            throw e;
        }
    }

    private static GgufPart map(Path path, Arena arena) {
        return GgufPart.parse(path, Mapping.of(path, arena));
    }

    private static List<GgufPart> parts(GgufPart first, Arena arena) {
        List<GgufPart> parts = new ArrayList<>(List.of(first));
        long count = first.integer("split.count", 0);
        if (count < 0 || count > MOST_PARTS)
            throw new ModelFileException(first.path(), "key \"split.count\"", count + " parts; up to " + MOST_PARTS + " are read");
        if (count < 2) return parts;
        Path file = first.path().toAbsolutePath();
        Matcher name = PART.matcher(String.valueOf(file.getFileName()));
        if (!name.matches() || Integer.parseInt(name.group(3)) != count) {
            throw new ModelFileException(first.path(), "key \"split.count\"",
                    "a model in " + count + " parts needs a name that ends with -00001-of-%05d.gguf".formatted(count));
        }
        if (first.integer("split.no", 0) != 0 || Integer.parseInt(name.group(2)) != 1) {
            throw new ModelFileException(first.path(), "key \"split.no\"",
                    "one part of " + count + "; open the first, " + name.group(1) + "00001-of-" + name.group(3) + name.group(4));
        }
        for (int i = 1; i < count; i++) {
            GgufPart part = map(file.resolveSibling(name.group(1) + "%05d-of-".formatted(i + 1) + name.group(3) + name.group(4)), arena);
            if (part.integer("split.no", -1) != i || part.integer("split.count", -1) != count) {
                throw new ModelFileException(part.path(), "key \"split.no\"",
                        "is not part " + (i + 1) + " of " + count + ", as its name says");
            }
            parts.add(part);
        }
        long expected = first.integer("split.tensors.count", -1);
        long found = parts.stream().mapToLong(p -> p.entries().size()).sum();
        if (expected >= 0 && expected != found) {
            throw new ModelFileException(first.path(), "key \"split.tensors.count\"",
                    expected + " tensors announced, the parts hold " + found);
        }
        return parts;
    }

    @Override
    public Path path() {
        return path;
    }

    @Override
    public Map<String, Object> metadata() {
        return metadata;
    }

    @Override
    public Map<String, TensorInfo> tensors() {
        return tensors;
    }

    @Override
    public Optional<Tensor> find(String name) {
        TensorInfo info = tensors.get(name);
        if (info == null) return Optional.empty();
        Optional<Tensor> tensor = readable.getOrDefault(name, Optional.empty());
        if (tensor.isEmpty()) {
            throw new ModelFileException(path, "tensor " + quoted(name), "is packed as " + info.type() + "; supported are " + Format.GGUF);
        }
        return tensor;
    }

    @Override
    public synchronized void close() {
        if (arena.scope().isAlive()) arena.close();
    }
}
