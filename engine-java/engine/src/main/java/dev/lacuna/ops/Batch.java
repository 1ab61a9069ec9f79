package dev.lacuna.ops;

import java.util.Arrays;

/**
 * The rows of one step, filled by the engine loop: the sequences one after another without padding between them, then padding rows, if any, with
 * sequence -1. One fixed array for each field, so that a device has one fixed buffer for each.
 */
public final class Batch {
    private final Limits limits;
    private final int[] id;
    private final int[] pos;
    private final int[] seq;
    private final int[] logitRow;
    private final int[] blockTable;
    private int rows;
    private int seqs;
    private int logitRows;
    private int kvBlocks;

    public Batch(Limits limits) {
        this.limits = limits;
        id = new int[limits.rows()];
        pos = new int[limits.rows()];
        seq = new int[limits.rows()];
        logitRow = new int[limits.logitRows()];
        blockTable = new int[Math.multiplyExact(limits.seqs(), limits.kvBlocks())];
    }

    /** Empties the batch; its block table will be {@code kvBlocks} wide. */
    public void clear(int kvBlocks) {
        if (kvBlocks < 1 || kvBlocks > limits.kvBlocks()) {
            throw new IllegalArgumentException("block table of " + kvBlocks + " blocks, limit " + limits.kvBlocks());
        }
        rows = 0;
        seqs = 0;
        logitRows = 0;
        this.kvBlocks = kvBlocks;
    }

    /** Begins a sequence whose blocks are {@code blocks[0..count)} and returns its number. */
    public int addSequence(int[] blocks, int count) {
        if (seqs == limits.seqs()) throw new IllegalStateException("more than " + seqs + " sequences in a step");
        if (count > kvBlocks) throw new IllegalArgumentException(count + " blocks in a table of " + kvBlocks);
        System.arraycopy(blocks, 0, blockTable, seqs * kvBlocks, count);
        Arrays.fill(blockTable, seqs * kvBlocks + count, (seqs + 1) * kvBlocks, 0);
        return seqs++;
    }

    /** Adds the next row of the latest sequence and returns its number. */
    public int addRow(int token, int position, boolean wantsLogits) {
        if (seqs == 0) throw new IllegalStateException("a row before its sequence");
        int row = append(token, position, seqs - 1);
        if (wantsLogits) {
            if (logitRows == limits.logitRows()) throw new IllegalStateException("more than " + logitRows + " rows ask for logits");
            logitRow[logitRows++] = row;
        }
        return row;
    }

    /** Adds a row that belongs to nobody: it computes, and writes to the scrap block. */
    public void addPadding() {
        append(0, 0, -1);
    }

    private int append(int token, int position, int sequence) {
        if (rows == limits.rows()) throw new IllegalStateException("more than " + rows + " rows in a step");
        id[rows] = token;
        pos[rows] = position;
        seq[rows] = sequence;
        return rows++;
    }

    public Limits limits() {
        return limits;
    }

    public int rows() {
        return rows;
    }

    public int seqs() {
        return seqs;
    }

    public int logitRows() {
        return logitRows;
    }

    public int kvBlocks() {
        return kvBlocks;
    }

    public int id(int row) {
        return id[row];
    }

    public int pos(int row) {
        return pos[row];
    }

    /** The sequence of a row, -1 for padding. */
    public int seq(int row) {
        return seq[row];
    }

    public int logitRow(int i) {
        return logitRow[i];
    }

    /** The block that holds a position of a sequence; the scrap block for padding. */
    public int block(int sequence, int position) {
        return sequence < 0 ? 0 : blockTable[sequence * kvBlocks + position / KvSpec.BLOCK];
    }

    /** Copies the other batch's contents; both have the same limits. */
    public void copyFrom(Batch other) {
        System.arraycopy(other.id, 0, id, 0, other.rows);
        System.arraycopy(other.pos, 0, pos, 0, other.rows);
        System.arraycopy(other.seq, 0, seq, 0, other.rows);
        System.arraycopy(other.logitRow, 0, logitRow, 0, other.logitRows);
        System.arraycopy(other.blockTable, 0, blockTable, 0, other.seqs * other.kvBlocks);
        rows = other.rows;
        seqs = other.seqs;
        logitRows = other.logitRows;
        kvBlocks = other.kvBlocks;
    }
}
