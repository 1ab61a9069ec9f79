package dev.lacuna.ops;

/** An activation {@code [rows x cols]} with the rows of the current batch, packed as its policy says for that many rows. */
public interface Act {
    int cols();

    InputPolicy policy();
}
