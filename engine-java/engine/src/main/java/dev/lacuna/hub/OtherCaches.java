package dev.lacuna.hub;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Models that Hugging Face's tools or Ollama have fetched already; read, never written. */
final class OtherCaches {
    private static final int DEPTH = 4;

    private final Environment environment;

    OtherCaches(Environment environment) {
        this.environment = environment;
    }

    /** The file or snapshot folder in Hugging Face's cache, if all of it is there and has the sha256 where one is known. */
    Optional<Path> huggingFace(Source.Hub source, @Nullable String sha256) throws IOException {
        Path repository = environment.huggingFaceCache().resolve("models--" + source.owner() + "--" + source.repo());
        if (!Files.isDirectory(repository)) return Optional.empty();
        String commit = source.revisionOrMain();
        if (!commit.matches("[0-9a-f]{40}")) {
            Path ref = repository.resolve("refs").resolve(commit);
            if (!Files.isRegularFile(ref) || Files.size(ref) > 100) return Optional.empty();
            commit = Files.readString(ref).strip();
            if (!commit.matches("[0-9a-f]{40}")) return Optional.empty();
        }
        Path snapshot = repository.resolve("snapshots").resolve(commit);
        if (!Files.isDirectory(snapshot)) return Optional.empty();
        List<HubApi.Remote> files = new ArrayList<>();
        // isRegularFile follows the links into blobs/, and is false for one whose blob is gone
        try (Stream<Path> walk = Files.walk(snapshot, DEPTH)) {
            walk.filter(Files::isRegularFile)
                    .forEach(file -> files.add(new HubApi.Remote(snapshot.relativize(file).toString().replace('\\', '/'), -1, null)));
        }
        HubApi.Selection selection;
        try {
            selection = HubApi.select(source, files);
        } catch (FetchException incomplete) {
            return Optional.empty();
        }
        Path decisive = snapshot.resolve(selection.folder() ? ModelFolder.WEIGHTS : selection.files().getFirst().path());
        if (sha256 != null && (!Files.isRegularFile(decisive) || !sha256.equals(sha256Of(decisive)))) return Optional.empty();
        return Optional.of(selection.folder() ? snapshot : decisive);
    }

    /** A blob of Ollama's by its sha256. */
    Optional<Path> ollama(String sha256, long bytes) throws IOException {
        Path blob = environment.ollamaModels().resolve("blobs").resolve("sha256-" + sha256);
        if (!Files.isRegularFile(blob) || bytes >= 0 && Files.size(blob) != bytes) return Optional.empty();
        return Optional.of(blob);
    }

    /** Large files are called by their sha256 in this cache; others are read. */
    private static String sha256Of(Path file) throws IOException {
        String blob = String.valueOf(file.toRealPath().getFileName());
        return Names.isSha256(blob) ? blob : Digests.sha256(file);
    }
}
