package dev.lacuna;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/** Finds the repository, and the large files beside it that tests use where they are there. */
public final class Checkout {
    private Checkout() {}

    /** The folder that holds {@code .mvn}. */
    public static Path root() {
        Path at = Path.of("").toAbsolutePath();
        while (at != null && !Files.isDirectory(at.resolve(".mvn"))) at = at.getParent();
        if (at == null) throw new IllegalStateException("not inside the repository: " + Path.of("").toAbsolutePath());
        return at;
    }

    /** A file of the shared folder; the test is skipped, saying so, where it is absent. */
    public static Path shared(String path) {
        Path file = root().resolveSibling("shared").resolve(path);
        Assumptions.assumeTrue(Files.exists(file), () -> "skipped: " + file + " is not on this machine");
        return file;
    }
}
