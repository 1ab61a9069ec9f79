package dev.lacuna.ops;

/**
 * The largest step.
 *
 * @param rows      tokens of a step
 * @param seqs      sequences of a step
 * @param logitRows rows of a step that may ask for logits
 * @param kvBlocks  cache blocks of one sequence
 */
public record Limits(int rows, int seqs, int logitRows, int kvBlocks) {
    public Limits {
        if (rows < 1 || seqs < 1 || logitRows < 1 || kvBlocks < 1) {
            throw new IllegalArgumentException("limits must be positive: rows " + rows + ", sequences " + seqs + ", logit rows " + logitRows
                    + ", cache blocks " + kvBlocks);
        }
    }
}
