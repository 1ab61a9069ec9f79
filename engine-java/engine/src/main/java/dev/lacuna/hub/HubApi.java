package dev.lacuna.hub;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What the Hugging Face hub, or the mirror in {@code HF_ENDPOINT}, says about a repository. */
final class HubApi {
    private static final String HUB = "https://huggingface.co";
    private static final int MOST_JSON = 16 << 20;
    private static final int MOST_PAGES = 20;
    private static final Pattern NEXT = Pattern.compile("<([^>]+)>\\s*;\\s*rel=\"?next\"?");

    private final Web web;
    private final URI endpoint;
    private final @Nullable String token;

    /**
     * A file of a repository.
     *
     * @param bytes  -1 if unknown
     * @param sha256 null if it is no LFS file
     */
    record Remote(String path, long bytes, @Nullable String sha256) {
    }

    HubApi(Web web, Environment environment) throws IOException {
        this.web = web;
        if (environment.flag("HF_HUB_OFFLINE")) throw new FetchException("HF_HUB_OFFLINE is set");
        String address = environment.get("HF_ENDPOINT").orElse(HUB).replaceFirst("/+$", "");
        try {
            endpoint = new URI(address);
        } catch (URISyntaxException malformed) {
            throw new FetchException("HF_ENDPOINT is no address");
        }
        boolean plain = "https".equalsIgnoreCase(endpoint.getScheme()) || "http".equalsIgnoreCase(endpoint.getScheme());
        if (!plain || endpoint.getHost() == null || endpoint.getRawQuery() != null || endpoint.getRawUserInfo() != null) {
            throw new FetchException("HF_ENDPOINT must read https://host[/path]");
        }
        // in clear text only as far as this machine
        boolean secret = "https".equalsIgnoreCase(endpoint.getScheme()) || Web.loopback(endpoint.getHost());
        token = secret ? readToken(environment) : null;
    }

    private static @Nullable String readToken(Environment environment) throws IOException {
        Optional<String> given = environment.get("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN");
        Path file = environment.tokenFile();
        if (given.isEmpty() && Files.isRegularFile(file) && Files.size(file) < 10_000) given = Optional.of(Files.readString(file).strip());
        if (given.isEmpty() || given.get().isEmpty()) return null;
        if (!given.get().matches("[\\x21-\\x7e]+")) throw new FetchException("HF_TOKEN holds characters that no token has");
        return given.get();
    }

    Download.Wanted wanted(Source.Hub source, Remote file, Path target) throws FetchException {
        URI uri = address("/" + source.owner() + "/" + source.repo() + "/resolve/" + source.revisionOrMain() + "/" + file.path(), null);
        return new Download.Wanted(uri, token, target, file.bytes(), file.sha256());
    }

    /** Size and sha256 of the file that the source names. */
    Remote head(Source.Hub source, String path) throws IOException, InterruptedException {
        URI uri = address("/" + source.owner() + "/" + source.repo() + "/resolve/" + source.revisionOrMain() + "/" + path, null);
        // the first answer has the headers of the hub's own storage; the host that it redirects to knows nothing of them
        try (Web.Answer answer = patiently("HEAD", uri, true)) {
            if (answer.status() >= 400) throw new FetchException(explain(answer.status(), endpoint.getHost() + " answers " + answer.status() + " for " + source));
            String tag = answer.header("X-Linked-Etag");
            if (tag == null && answer.status() == 200) tag = answer.header("ETag");
            String sha256 = tag == null ? "" : tag.replaceFirst("^W/", "").replace("\"", "");
            long bytes = answer.length("X-Linked-Size");
            if (bytes < 0 && answer.status() == 200) bytes = answer.length("Content-Length");
            return new Remote(path, bytes, Names.isSha256(sha256) ? sha256 : null);
        }
    }

    /** All files of the repository at the source's revision. */
    List<Remote> list(Source.Hub source) throws IOException, InterruptedException {
        URI page = address("/api/models/" + source.owner() + "/" + source.repo() + "/tree/" + source.revisionOrMain(), "recursive=true");
        List<Remote> files = new ArrayList<>();
        for (int pages = 0; pages < MOST_PAGES; pages++) {
            String next;
            try (Web.Answer answer = patiently("GET", page, false)) {
                if (answer.status() != 200) {
                    throw new FetchException(explain(answer.status(), endpoint.getHost() + " answers " + answer.status() + " for the files of " + source));
                }
                add(files, answer.response().body().all(MOST_JSON, web.limits.stall()));
                next = answer.header("Link");
            }
            Matcher link = NEXT.matcher(next == null ? "" : next);
            if (!link.find()) return files;
            URI following;
            try {
                following = page.resolve(link.group(1));
            } catch (IllegalArgumentException malformed) {
                throw new FetchException(endpoint.getHost() + " sends a page link that is no address");
            }
            if (!Web.sameOrigin(page, following)) throw new FetchException(endpoint.getHost() + " continues its list on another host");
            page = following;
        }
        throw new FetchException(source + " has too many files to list; name one: hf:owner/repo/file");
    }

    private static void add(List<Remote> files, byte[] json) throws FetchException {
        try {
            JsonNode tree = JsonMapper.shared().readTree(json);
            if (!tree.isArray()) throw new FetchException("the hub's list of files is no list");
            for (JsonNode file : tree) {
                String path = file.path("path").asString("");
                if (!file.path("type").asString("").equals("file") || !Names.plainPath(path)) continue;
                JsonNode lfs = file.path("lfs");
                long bytes = lfs.path("size").asLong(file.path("size").asLong(-1));
                String sha256 = lfs.path("oid").asString("").replaceFirst("^sha256:", "");
                files.add(new Remote(path, Math.max(bytes, -1), Names.isSha256(sha256) ? sha256 : null));
            }
        } catch (JacksonException malformed) {
            throw new FetchException("the hub's list of files is malformed: " + Names.printable(String.valueOf(malformed.getOriginalMessage())), malformed);
        }
    }

    /** Asks again when the server is busy, not when it cannot be reached. */
    private Web.Answer patiently(String method, URI uri, boolean stayAtHost) throws IOException, InterruptedException {
        for (int attempt = 1;; attempt++) {
            boolean last = attempt >= Math.min(3, web.limits.attempts());
            try {
                Web.Answer answer = web.ask(method, uri, Map.of(), token, stayAtHost, web.limits.probe());
                if (last || answer.status() != 429 && answer.status() < 500) return answer;
                answer.close();
            } catch (FetchException.Broken broken) {
                if (last) throw broken;
            }
            Thread.sleep(web.limits.backOff().toMillis() * attempt);
        }
    }

    private URI address(String path, @Nullable String query) throws FetchException {
        try {
            String base = endpoint.getPath() == null ? "" : endpoint.getPath();
            return new URI(endpoint.getScheme(), null, endpoint.getHost(), endpoint.getPort(), base + path, query, null);
        } catch (URISyntaxException malformed) {
            throw new FetchException("no address can be made of " + Names.printable(path));
        }
    }

    static String explain(int status, String what) {
        return what + switch (status) {
            case 401, 403 -> ": it wants a token (HF_TOKEN) of somebody who has accepted the model's terms, or there is no such repository";
            case 404 -> ": no such repository, revision or file";
            case 407 -> ": the proxy wants a name and password; put them into HTTPS_PROXY and start Java with"
                    + " -Djdk.http.auth.tunneling.disabledSchemes=";
            default -> "";
        };
    }

    /** The files that a source means among those of its repository: one file, the parts of a split GGUF in order, or a model folder. */
    record Selection(boolean folder, List<Remote> files) {
    }

    static Selection select(Source.Hub source, List<Remote> all) throws FetchException {
        Map<String, Remote> byPath = new TreeMap<>();
        all.forEach(file -> byPath.put(file.path(), file));
        if (source.file() != null) return new Selection(false, parts(source.file(), byPath));
        if (source.quant() == null && ModelFolder.is(byPath.keySet())) {
            return new Selection(true, ModelFolder.pick(byPath.keySet()).stream().map(byPath::get).toList());
        }
        List<String> candidates = new ArrayList<>();
        for (String path : byPath.keySet()) {
            String name = Names.last(path).toLowerCase(Locale.ROOT);
            boolean later = Names.splitParts(Names.last(path)).map(names -> !names.getFirst().equals(Names.last(path))).orElse(false);
            // mmproj is the eye of a model that sees, never the model
            if (name.endsWith(".gguf") && !name.startsWith("mmproj") && !later) candidates.add(path);
        }
        List<String> matching = source.quant() == null ? candidates : named(candidates, source.quant());
        if (matching.size() == 1) return new Selection(false, parts(matching.getFirst(), byPath));
        if (candidates.isEmpty()) throw new FetchException(source + " has no GGUF file" + (source.quant() == null ? " and no model.safetensors" : ""));
        String which = source.quant() == null ? "has more than one GGUF file; add :QUANT or /file"
                : matching.isEmpty() ? "has no GGUF file with " + source.quant() + " in its name" : "means more than one file";
        throw new FetchException(source + " " + which + ": " + String.join(", ", matching.isEmpty() ? candidates : matching));
    }

    /** Paths whose name contains the word; where several do, those in which it stands alone, as F16 does not in BF16. */
    private static List<String> named(List<String> paths, String word) {
        String wanted = word.toLowerCase(Locale.ROOT);
        List<String> containing = paths.stream().filter(path -> Names.last(path).toLowerCase(Locale.ROOT).contains(wanted)).toList();
        if (containing.size() <= 1) return containing;
        Pattern alone = Pattern.compile("(?<![a-z0-9_])" + Pattern.quote(wanted) + "(?![a-z0-9_])");
        List<String> standing = containing.stream().filter(path -> alone.matcher(Names.last(path).toLowerCase(Locale.ROOT)).find()).toList();
        return standing.size() == 1 ? standing : containing;
    }

    private static List<Remote> parts(String path, Map<String, Remote> byPath) throws FetchException {
        List<Remote> files = new ArrayList<>();
        for (String part : withParts(path)) {
            Remote file = byPath.get(part);
            if (file == null) throw new FetchException(part + " is missing from the repository");
            files.add(file);
        }
        return files;
    }

    /** The path, or all parts if it names one of a split GGUF. */
    static List<String> withParts(String path) {
        String folder = path.substring(0, path.length() - Names.last(path).length());
        return Names.splitParts(Names.last(path)).map(names -> names.stream().map(name -> folder + name).toList()).orElse(List.of(path));
    }
}
