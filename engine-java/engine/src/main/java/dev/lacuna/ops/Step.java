package dev.lacuna.ops;

/**
 * The shape of a step: what a captured graph is recorded for.
 *
 * @param program   number of the body and the operands that it closes over: two that differ must never share a graph
 * @param rows      rows of the batch, padding included
 * @param seqs      sequences
 * @param logitRows rows that ask for logits
 * @param kvBlocks  width of the block table
 */
public record Step(int program, int rows, int seqs, int logitRows, int kvBlocks) {
    public static Step of(int program, Batch b) {
        return new Step(program, b.rows(), b.seqs(), b.logitRows(), b.kvBlocks());
    }
}
