package dev.lacuna.ops;

/** Which rows of a matrix run: ascending numbers below {@link #capacity}, chosen and counted where the kernels are; empty until it is written. */
public interface RowSet {
    /** Rows to choose from, which is also the most that can be chosen. */
    int capacity();
}
