package dev.lacuna.server;

import dev.lacuna.Lacuna;
import java.util.function.Supplier;

/**
 * A model that a server offers.
 *
 * @param name   what clients call it
 * @param opener opens it, at first use; the server closes what it opens
 */
public record ServedModel(String name, Supplier<Lacuna> opener) {
    private static final int LONGEST_NAME = 512;

    public ServedModel {
        if (name.isBlank() || name.length() > LONGEST_NAME || name.chars().anyMatch(c -> c < ' ' || c == 0x7f)) {
            throw new IllegalArgumentException("a model's name has 1 to " + LONGEST_NAME + " printable characters");
        }
    }
}
