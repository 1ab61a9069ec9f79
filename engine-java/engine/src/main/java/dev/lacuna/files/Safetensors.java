package dev.lacuna.files;

import static dev.lacuna.files.ModelFileException.quoted;

import dev.lacuna.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SegmentAllocator;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/**
 * A Hugging Face folder: {@code config.json} and weights in {@code model.safetensors}, or in the shards that {@code model.safetensors.index.json} names.
 * Tensors keep the folder's names; {@code metadata()} is config.json with nested names joined by dots, and generation_config.json under
 * {@code generation_config.}. A matrix of {@code compressed-tensors} appears as one tensor in a format of the engine, repacked when it is first asked
 * for. Limits: headers of 100 MB, 100,000 tensors, 8 dimensions, 1,024 shards, config files of 4 MiB.
 */
public final class Safetensors implements ModelFile {
    /** The file that makes a folder a model. */
    public static final String CONFIG = "config.json";
    private static final String WEIGHTS = "model.safetensors";
    private static final String INDEX = "model.safetensors.index.json";
    private static final String GENERATION = "generation_config.json";
    private static final int SMALL = 4 << 20;
    private static final int LARGE = 64 << 20;
    private static final int MOST_SHARDS = 1024;
    private static final Pattern PLAIN_NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,199}");
    private static final Pattern PICKLED = Pattern.compile(".*\\.(bin|pt|pth|ckpt|h5|msgpack)");

    private final Path path;
    private final Arena arena;
    private final Map<String, Object> metadata;
    private final Map<String, SafetensorsPart.Entry> entries = new LinkedHashMap<>();
    private final CompressedTensors compressed;
    private final Map<String, TensorInfo> tensors;
    private final Map<String, Tensor> made = new ConcurrentHashMap<>();

    /**
     * @param path   the folder, or the one file of a model without one
     * @param config what {@code config.json} holds
     * @param parts  parsed over memory of the arena, which this object then owns
     */
    Safetensors(Path path, JsonNode config, Map<String, Object> metadata, List<SafetensorsPart> parts, Arena arena) {
        this.path = path;
        this.arena = arena;
        this.metadata = Collections.unmodifiableMap(metadata);
        for (SafetensorsPart part : parts) {
            part.entries().forEach((name, entry) -> {
                if (entries.put(name, entry) != null)
                    throw new ModelFileException(part.path(), "tensor " + quoted(name), "is also in an earlier shard");
            });
            if (entries.size() > SafetensorsPart.MOST_TENSORS)
                throw new ModelFileException(path, "tensors", "are more than the " + SafetensorsPart.MOST_TENSORS + " that are read");
        }
        compressed = CompressedTensors.of(path, config, entries);
        Map<String, TensorInfo> infos = new LinkedHashMap<>();
        entries.forEach((name, entry) -> {
            TensorInfo whole = compressed.info(name);
            if (whole != null) {
                infos.put(whole.name(), whole);
            } else if (!compressed.isPart(name)) {
                infos.put(name, entry.info());
            }
        });
        tensors = Collections.unmodifiableMap(infos);
    }

    /**
     * Maps the weights of a folder, or of the folder around a {@code .safetensors} file.
     *
     * @throws ModelFileException if a file is missing, cannot be read or is malformed, or if the weights are pickled or quantized in a way that is not
     *                            read
     */
    @SuppressWarnings("MustBeClosedChecker") // the arena is the model's, and close() closes it
    public static Safetensors open(Path path) {
        Path folder = Files.isDirectory(path) ? path : path.toAbsolutePath().getParent();
        if (folder == null || !Files.isRegularFile(folder.resolve(CONFIG))) {
            throw new ModelFileException(path, "folder",
                    "has no " + CONFIG + ", so it is no model: it needs config.json, model.safetensors, "
                            + "tokenizer.json and tokenizer_config.json");
        }
        JsonNode config = Json.read(folder.resolve(CONFIG), SMALL);
        Map<String, Object> metadata = new LinkedHashMap<>();
        Json.flatten(folder.resolve(CONFIG), "", object(folder.resolve(CONFIG), config), metadata);
        Path generation = folder.resolve(GENERATION);
        if (Files.exists(generation))
            Json.flatten(generation, "generation_config.", object(generation, Json.read(generation, SMALL)), metadata);
        Arena arena = Arena.ofShared();
        try {
            List<SafetensorsPart> parts = new ArrayList<>();
            for (Path shard : shards(folder)) parts.add(SafetensorsPart.parse(shard, Mapping.of(shard, arena)));
            return new Safetensors(folder, config, metadata, parts, arena);
        } catch (Throwable e) {
            arena.close();
            throw e;
        }
    }

    private static JsonNode object(Path file, JsonNode node) {
        if (!node.isObject()) throw new ModelFileException(file, "JSON", "is not an object");
        return node;
    }

    private static List<Path> shards(Path folder) {
        if (Files.exists(folder.resolve(WEIGHTS))) return List.of(sibling(folder, WEIGHTS));
        Path index = folder.resolve(INDEX);
        if (!Files.exists(index)) throw new ModelFileException(folder, "weights", missing(folder));
        JsonNode map = Json.read(index, LARGE).path("weight_map");
        if (!map.isObject() || map.isEmpty())
            throw new ModelFileException(index, "weight_map", "is not an object of tensor and file names");
        Set<String> names = new LinkedHashSet<>();
        for (JsonNode name : map) {
            if (!name.isString()) throw new ModelFileException(index, "weight_map", "holds a file name that is no string");
            names.add(name.stringValue());
            if (names.size() > MOST_SHARDS) throw new ModelFileException(index, "weight_map", "names more than " + MOST_SHARDS + " files");
        }
        return names.stream().map(name -> sibling(folder, name)).toList();
    }

    private static String missing(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            Optional<String> pickled = files.map(f -> String.valueOf(f.getFileName())).filter(n -> PICKLED.matcher(n).matches()).sorted()
                    .findFirst();
            if (pickled.isPresent()) {
                return "are only there as " + pickled.get()
                        + ", and reading pickled weights would run code from the file; convert them: python -c "
                        + "\"from transformers import AutoModelForCausalLM as M; M.from_pretrained('.').save_pretrained('.')\"";
            }
        } catch (IOException e) {
            return "cannot be listed: " + e.getMessage();
        }
        return "are missing: neither " + WEIGHTS + " nor " + INDEX;
    }

    /** A regular file of the folder, or of the blobs that the hub's cache links its folders to. */
    private static Path sibling(Path folder, String name) {
        if (!PLAIN_NAME.matcher(name).matches() || !name.endsWith(".safetensors"))
            throw new ModelFileException(folder, "shard " + quoted(name), "is not the name of a .safetensors file in the folder");
        Path file = folder.resolve(name);
        try {
            Path home = folder.toRealPath();
            Path real = file.toRealPath();
            Path parent = real.getParent();
            Path snapshots = home.getParent();
            boolean cached = snapshots != null && String.valueOf(snapshots.getFileName()).equals("snapshots")
                    && snapshots.resolveSibling("blobs").equals(parent);
            if (!home.equals(parent) && !cached) throw new ModelFileException(file, "file", "is a link out of the folder");
            return file;
        } catch (IOException e) {
            throw new ModelFileException(file, "file", "does not exist or cannot be read", e);
        }
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
        if (!tensors.containsKey(name)) return Optional.empty();
        if (compressed.info(name) != null) return Optional.of(make(name, memory -> compressed.tensor(name, memory)));
        SafetensorsPart.Entry entry = entries.get(name);
        return entry == null ? Optional.empty() : Optional.of(SafetensorsPart.matrix(path, entry));
    }

    /**
     * A tensor that is computed once, into memory that lives as long as the file.
     *
     * @param key names it among all that are made
     */
    Tensor make(String key, Function<SegmentAllocator, Tensor> maker) {
        // arenas may not allocate from two threads at once
        synchronized (made) {
            Tensor known = made.get(key);
            if (known != null) return known;
            Tensor fresh = maker.apply(arena);
            made.put(key, fresh);
            return fresh;
        }
    }

    /**
     * A JSON file of the folder, such as {@code tokenizer.json}, if it is there.
     *
     * @throws ModelFileException if it is over 64 MiB or malformed
     */
    public Optional<JsonNode> json(String name) {
        Path file = path.resolve(name);
        return Files.exists(file) ? Optional.of(Json.read(file, LARGE)) : Optional.empty();
    }

    /**
     * The chat template: {@code chat_template.jinja}, {@code chat_template.json}, or the one in tokenizer_config.json (of several the one named default).
     *
     * @throws ModelFileException if the file that holds it cannot be read
     */
    public Optional<String> chatTemplate() {
        Path jinja = path.resolve("chat_template.jinja");
        if (Files.exists(jinja)) return Optional.of(new String(Json.bytes(jinja, SMALL), StandardCharsets.UTF_8));
        for (String name : List.of("chat_template.json", "tokenizer_config.json")) {
            JsonNode template = json(name).map(file -> file.path("chat_template")).orElse(null);
            if (template == null || template.isMissingNode() || template.isNull()) continue;
            if (template.isString()) return Optional.of(template.stringValue());
            for (JsonNode named : template) {
                if (named.path("name").asString("").equals("default") && named.path("template").isString())
                    return Optional.of(named.path("template").stringValue());
            }
            throw new ModelFileException(path.resolve(name), "chat_template", "is neither a string nor a list with one named \"default\"");
        }
        return Optional.empty();
    }

    @Override
    public synchronized void close() {
        if (arena.scope().isAlive()) arena.close();
    }
}
