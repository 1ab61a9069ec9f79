package dev.lacuna.hub;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** The models that have a name: {@code models/catalogue.json} of the project, packed with the engine. */
public final class Catalogue {
    /** The entry that is taken when nobody names one: a small demonstration. */
    public static final String DEFAULT = "smollm2-135m-instruct";

    private final List<CatalogueEntry> entries;
    private final Map<String, CatalogueEntry> byName = new LinkedHashMap<>();

    private Catalogue(List<CatalogueEntry> entries) {
        this.entries = List.copyOf(entries);
        for (CatalogueEntry entry : entries) {
            claim(entry.name(), entry);
            entry.aliases().forEach(alias -> claim(alias, entry));
        }
    }

    private void claim(String name, CatalogueEntry entry) {
        CatalogueEntry other = byName.putIfAbsent(key(name), entry);
        if (other != null) throw new IllegalArgumentException("\"" + name + "\" names both " + other.name() + " and " + entry.name());
    }

    /** The catalogue that came with this version of the engine. */
    public static Catalogue load() {
        try (InputStream in = Catalogue.class.getResourceAsStream("catalogue.json")) {
            if (in == null) throw new IllegalStateException("dev/lacuna/hub/catalogue.json is missing from the engine's jar");
            return read(in.readAllBytes());
        } catch (IOException unreadable) {
            throw new UncheckedIOException(unreadable);
        }
    }

    static Catalogue read(byte[] json) {
        JsonMapper mapper = JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES).build();
        try {
            return new Catalogue(mapper.readValue(json, Document.class).models().stream().map(Row::entry).toList());
        } catch (JacksonException malformed) {
            throw new IllegalArgumentException("the catalogue is malformed: " + malformed.getOriginalMessage(), malformed);
        }
    }

    /** All models, in the order of the file. */
    public List<CatalogueEntry> entries() {
        return entries;
    }

    /**
     * The model of that name or alias, in any case.
     *
     * @throws SourceException if there is none; the message has the closest names
     */
    public CatalogueEntry find(String name) {
        return lookUp(name).orElseThrow(() -> {
            List<String> near = closest(name);
            return new SourceException("\"" + Names.printable(name) + "\" is not in the catalogue"
                    + (near.isEmpty() ? "" : "; did you mean " + String.join(", ", near) + "?") + "\n" + SourceException.FORMS);
        });
    }

    /** The model of that name or alias, in any case, if there is one. */
    public Optional<CatalogueEntry> lookUp(String name) {
        return Optional.ofNullable(byName.get(key(name)));
    }

    /** At most three names a slip of the finger or a forgotten ending away, the nearest first. */
    private List<String> closest(String name) {
        record Near(String name, int distance) {
        }
        String wanted = key(name);
        if (wanted.length() > 100) return List.of();
        List<Near> near = new ArrayList<>();
        for (CatalogueEntry entry : entries) {
            int best = distance(wanted, entry.name());
            for (String alias : entry.aliases()) best = Math.min(best, distance(wanted, key(alias)));
            if (wanted.length() >= 3 && entry.name().contains(wanted)) best = Math.min(best, 1);
            if (best <= Math.max(2, wanted.length() / 3)) near.add(new Near(entry.name(), best));
        }
        return near.stream().sorted(Comparator.comparingInt(Near::distance)).limit(3).map(Near::name).toList();
    }

    /** Levenshtein distance, one row at a time. */
    private static int distance(String a, String b) {
        int[] row = new int[b.length() + 1];
        for (int j = 0; j <= b.length(); j++) row[j] = j;
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int substituted = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(substituted, 1 + Math.min(row[j], row[j - 1]));
            }
        }
        return row[b.length()];
    }

    private static String key(String name) {
        return name.strip().toLowerCase(Locale.ROOT);
    }

    /** The file as Jackson reads it; absent lists and flags are what the record's entry says. */
    private record Document(int version, List<Row> models) {
        Document {
            if (version != 1) throw new IllegalArgumentException("the catalogue has version " + version + ", this program reads 1");
        }
    }

    private record Row(String name, String title, String family, String licence, long bytes, @Nullable Boolean approximate, List<String> sources,
            @Nullable String sha256, @Nullable List<String> aliases, String use) {
        CatalogueEntry entry() {
            return new CatalogueEntry(name, title, family, licence, bytes, sources, sha256, Boolean.TRUE.equals(approximate),
                    aliases == null ? List.of() : aliases, use);
        }
    }
}
