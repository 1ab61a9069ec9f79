package dev.lacuna.hub;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/**
 * What {@code source.json} says about a complete model. It is written last, so a folder without one is a fetch that has not ended.
 *
 * @param source where the model came from
 * @param main   the file to open, empty for the folder itself
 * @param files  all files, by their path in the folder
 */
record Receipt(String source, String main, List<Item> files) {
    static final String NAME = "source.json";

    /** One file of the model. */
    record Item(String name, long bytes, String sha256) {
    }

    /** The receipt of a folder, if there is a whole one and all its files are there in full length. */
    static Optional<Receipt> read(Path folder) {
        Path file = folder.resolve(NAME);
        try {
            if (!Files.isRegularFile(file) || Files.size(file) > 1 << 20) return Optional.empty();
            Receipt receipt = JsonMapper.shared().readValue(Files.readAllBytes(file), Receipt.class);
            return receipt != null && receipt.holds(folder) ? Optional.of(receipt) : Optional.empty();
        } catch (IOException | JacksonException unreadable) {
            // as good as not fetched: the next pull writes it again
            return Optional.empty();
        }
    }

    @SuppressWarnings("ConstantValue") // Jackson leaves null what the file lacks
    private boolean holds(Path folder) throws IOException {
        if (source == null || main == null || files == null || files.isEmpty()) return false;
        for (Item item : files) {
            if (item == null || item.name() == null || !Names.plainPath(item.name())) return false;
            Path file = folder.resolve(item.name());
            if (!Files.isRegularFile(file) || Files.size(file) != item.bytes()) return false;
        }
        return main.isEmpty() || files.stream().anyMatch(item -> item.name().equals(main));
    }

    void write(Path folder) throws IOException {
        Path file = folder.resolve(NAME);
        Path draft = folder.resolve(NAME + ".incomplete");
        Files.write(draft, JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsBytes(this));
        Sink.move(draft, file);
        keepOnly(folder);
    }

    /** Removes what attempts with other sources have left behind. */
    private void keepOnly(Path folder) throws IOException {
        List<Path> kept = Stream.concat(Stream.of(folder.resolve(NAME)), files.stream().map(item -> folder.resolve(item.name()))).toList();
        try (Stream<Path> walk = Files.walk(folder)) {
            for (Path path : walk.sorted(java.util.Comparator.reverseOrder()).toList()) {
                if (kept.stream().noneMatch(keep -> keep.startsWith(path))) Files.delete(path);
            }
        }
    }

    Cached cached(Path folder) {
        long bytes = files.stream().mapToLong(Item::bytes).sum();
        return new Cached(String.valueOf(folder.getFileName()), path(folder), bytes, source, sha256());
    }

    Path path(Path folder) {
        return main.isEmpty() ? folder : folder.resolve(main);
    }

    /** Of the one file, or of a folder's one file of weights. */
    @Nullable
    String sha256() {
        if (files.size() == 1) return files.getFirst().sha256();
        return files.stream().filter(item -> main.isEmpty() && item.name().equals(ModelFolder.WEIGHTS)).map(Item::sha256).findFirst().orElse(null);
    }
}
