package dev.lacuna.ops;

import org.jspecify.annotations.Nullable;

/**
 * How tokens become rows.
 *
 * @param table     {@code [vocabulary x dim]}
 * @param scale     factor of the table's rows
 * @param positions {@code [(offset + positions) x dim]}, added to the scaled rows; null: positions are not learned
 * @param offset    row of position 0
 */
public record Embedding(Weight table, float scale, @Nullable Weight positions, int offset) {
    /** Rows of the table as they are. */
    public static Embedding of(Weight table) {
        return new Embedding(table, 1, null, 0);
    }
}
