package dev.lacuna.ops;

/** What a placed weight is used for. */
public enum Use {
    /** Rows are looked up by token. */
    EMBED,
    /** Multiplied with activations. */
    PRODUCT,
    /** The rows of a {@link RowSet} are multiplied with activations ({@link Ops#rows}). */
    ROWS,
    /** Transposed: the rows of a {@link RowSet} are added up, weighted by activations ({@link Ops#columns}). */
    COLUMNS
}
