package dev.lacuna.ops;

/**
 * The shape of a step: what a captured graph is recorded for.
 *
 * @param rows      rows of the batch, padding included
 * @param seqs      sequences
 * @param logitRows rows that ask for logits
 * @param kvBlocks  width of the block table
 */
public record Step(int rows, int seqs, int logitRows, int kvBlocks) {
    public static Step of(Batch b) {
        return new Step(b.rows(), b.seqs(), b.logitRows(), b.kvBlocks());
    }
}
