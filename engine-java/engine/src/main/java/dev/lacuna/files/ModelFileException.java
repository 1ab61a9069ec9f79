package dev.lacuna.files;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** A model file cannot be read as it is. The message names the file, the tensor or key, and the reason. */
public final class ModelFileException extends RuntimeException {
    private static final long serialVersionUID = 1;
    private static final int LONGEST_NAME = 120;

    /** @param subject the part of the file that is wrong, such as {@code tensor "output.weight"} */
    public ModelFileException(Path file, String subject, String reason) {
        this(file, subject, reason, null);
    }

    public ModelFileException(Path file, String subject, String reason, @Nullable Throwable cause) {
        super(file + ": " + subject + ": " + reason, cause);
    }

    /** A name from a file as messages show it: in quotes, control characters replaced, cut when it is long. */
    static String quoted(String name) {
        String shown = name.length() <= LONGEST_NAME ? name : name.substring(0, LONGEST_NAME) + "...";
        StringBuilder out = new StringBuilder(shown.length() + 2).append('"');
        shown.chars().forEach(c -> out.append(Character.isISOControl(c) ? '?' : (char) c));
        return out.append('"').toString();
    }
}
