package dev.lacuna.hub;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** The variables of the environment that this package looks at; an empty one counts as absent. */
record Environment(Map<String, String> variables) {
    Environment {
        variables = Map.copyOf(variables);
    }

    /** The first of the variables that is set. */
    Optional<String> get(String... names) {
        for (String name : names) {
            String value = variables.get(name);
            if (value != null && !value.isBlank()) return Optional.of(value.strip());
        }
        return Optional.empty();
    }

    boolean flag(String name) {
        return get(name).filter(value -> switch (value.toLowerCase(Locale.ROOT)) {
            case "1", "true", "yes", "on" -> true;
            default -> false;
        }).isPresent();
    }

    Path home() {
        return Path.of(get("HOME", "USERPROFILE").orElse(System.getProperty("user.home")));
    }

    /** Where this user's programs keep what they can fetch again. */
    Path cache() {
        if (windows()) return get("LOCALAPPDATA").map(Path::of).orElseGet(() -> home().resolve("AppData").resolve("Local"));
        return get("XDG_CACHE_HOME").map(Path::of).orElseGet(() -> home().resolve(".cache"));
    }

    Path lacunaHome() {
        return get("LACUNA_HOME").map(Path::of).orElseGet(() -> cache().resolve("lacuna"));
    }

    private Path huggingFaceHome() {
        // Hugging Face's own tools use ~/.cache on every system
        return get("HF_HOME").map(Path::of)
                .orElseGet(() -> get("XDG_CACHE_HOME").map(Path::of).orElseGet(() -> home().resolve(".cache")).resolve("huggingface"));
    }

    Path huggingFaceCache() {
        return get("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE").map(Path::of).orElseGet(() -> huggingFaceHome().resolve("hub"));
    }

    Path tokenFile() {
        return get("HF_TOKEN_PATH").map(Path::of).orElseGet(() -> huggingFaceHome().resolve("token"));
    }

    Path ollamaModels() {
        return get("OLLAMA_MODELS").map(Path::of).orElseGet(() -> home().resolve(".ollama").resolve("models"));
    }

    /** The program of that name on the PATH. */
    Optional<Path> program(String name) {
        String path = get("PATH", "Path").orElse("");
        String[] endings = windows() ? new String[]{".exe", ".cmd", ".bat"} : new String[]{""};
        for (String folder : path.split(java.util.regex.Pattern.quote(System.getProperty("path.separator")), -1)) {
            if (folder.isEmpty()) continue;
            for (String ending : endings) {
                Path candidate = Path.of(folder, name + ending);
                if (Files.isRegularFile(candidate) && Files.isExecutable(candidate)) return Optional.of(candidate);
            }
        }
        return Optional.empty();
    }

    static boolean windows() {
        return System.getProperty("os.name", "").startsWith("Windows");
    }
}
