package dev.lacuna.hub;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One model of the catalogue.
 *
 * @param name        what to type; letters, digits, {@code . _ -}
 * @param title       what people call it
 * @param family      architecture family: llama, qwen2, qwen3, gemma3, phi3, bert
 * @param licence     SPDX identifier, or the name of the terms
 * @param bytes       size on disk
 * @param sources     where it is, in the order in which they are tried; all parse
 * @param sha256      of the file (of {@code model.safetensors} where the model is a folder), only where it was computed from the file itself
 * @param approximate whether {@code bytes} is rounded
 * @param aliases     other names
 * @param use         {@code chat}, {@code base} (continues text, has no chat template) or {@code embed}
 */
public record CatalogueEntry(String name, String title, String family, String licence, long bytes, List<String> sources, @Nullable String sha256,
        boolean approximate, List<String> aliases, String use) {
    /**
     * Checks what every entry must hold.
     *
     * @throws IllegalArgumentException if something is missing, negative or malformed
     */
    public CatalogueEntry {
        sources = List.copyOf(sources);
        aliases = List.copyOf(aliases);
        if (!Names.safe(name) || name.contains("--")) throw new IllegalArgumentException("\"" + name + "\" is no name for a model");
        if (title.isBlank() || family.isBlank() || licence.isBlank()) {
            throw new IllegalArgumentException(name + ": title, family and licence must be there");
        }
        if (bytes <= 0) throw new IllegalArgumentException(name + ": a size of " + bytes + " bytes");
        if (sources.isEmpty()) throw new IllegalArgumentException(name + ": no source");
        sources.forEach(Source::parse);
        if (sha256 != null && !Names.isSha256(sha256)) throw new IllegalArgumentException(name + ": sha256 is 64 lower-case hexadecimal digits");
        if (!List.of("chat", "base", "embed").contains(use)) throw new IllegalArgumentException(name + ": use is chat, base or embed, not " + use);
    }

    /** Size for people; {@code ~} marks a rounded one. */
    public String size() {
        return (approximate ? "~" : "") + (bytes >= 1_000_000_000L
                ? String.format(java.util.Locale.ROOT, "%.1f GB", bytes / 1e9)
                : Math.round(bytes / 1e6) + " MB");
    }
}
