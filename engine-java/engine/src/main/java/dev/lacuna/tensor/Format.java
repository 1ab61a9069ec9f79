package dev.lacuna.tensor;

import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * How the bytes of a weight are packed. A format is a row of a table, never a class of its own: whoever needs the values asks {@link Codec}, and
 * kernels switch on the constant once, when a weight is placed.
 *
 * @param name       as GGUF and the command line spell it, in upper case
 * @param kind       family of the packing
 * @param group      number of consecutive values of one row that share a block; rows are whole groups, or padded with zeros
 * @param bytes      bytes of one block; 0: blocks differ, see {@link #variable}
 * @param bits       bits of one stored value, without scales
 * @param zeroPoint  whether a block carries a minimum or a zero point beside its scale
 * @param rowHeader  bytes at the beginning of each row, before its blocks
 */
public record Format(String name, Kind kind, int group, int bytes, int bits, boolean zeroPoint, int rowHeader) {
    /**
     * Family of the packing: plain floating point, blocks of 32 with one 16-bit scale, super-blocks of 256 with quantized sub-scales, integers with a
     * single-precision scale for a row or a group, or such integers of which only some are stored, under a mask.
     */
    public enum Kind {
        FLOAT, BLOCK, SUPER_BLOCK, INTEGER, SPARSE
    }

    private Format(String name, Kind kind, int group, int bytes, int bits, boolean zeroPoint) {
        this(name, kind, group, bytes, bits, zeroPoint, 0);
    }

    public static final Format F32 = new Format("F32", Kind.FLOAT, 1, 4, 32, false);
    public static final Format F16 = new Format("F16", Kind.FLOAT, 1, 2, 16, false);
    public static final Format BF16 = new Format("BF16", Kind.FLOAT, 1, 2, 16, false);
    public static final Format Q8_0 = new Format("Q8_0", Kind.BLOCK, 32, 34, 8, false);
    public static final Format Q4_0 = new Format("Q4_0", Kind.BLOCK, 32, 18, 4, false);
    public static final Format Q4_1 = new Format("Q4_1", Kind.BLOCK, 32, 20, 4, true);
    public static final Format Q5_0 = new Format("Q5_0", Kind.BLOCK, 32, 22, 5, false);
    public static final Format Q5_1 = new Format("Q5_1", Kind.BLOCK, 32, 24, 5, true);
    public static final Format Q4_K = new Format("Q4_K", Kind.SUPER_BLOCK, 256, 144, 4, true);
    public static final Format Q5_K = new Format("Q5_K", Kind.SUPER_BLOCK, 256, 176, 5, true);
    public static final Format Q6_K = new Format("Q6_K", Kind.SUPER_BLOCK, 256, 210, 6, false);

    /** A row is its scale in single precision, then a signed byte for each value: {@code scale * q}. */
    public static final Format I8_ROW = new Format("I8_ROW", Kind.INTEGER, 1, 1, 8, false, Float.BYTES);

    /**
     * Two of every four values, as signed bytes: a row is its scale in single precision, then for each 64 values a mask of 8 bytes and the 32 stored ones;
     * 5 bits a value.
     */
    public static final Format I8_24 = new Format("I8_24", Kind.SPARSE, 64, 40, 8, false, Float.BYTES);

    /**
     * Any of the values, as signed bytes: a row is its scale in single precision, then for each 64 values a mask of 8 bytes and the stored ones. Rows differ
     * in length.
     */
    public static final Format I8_BITMASK = new Format("I8_BITMASK", Kind.SPARSE, 64, 0, 8, false, Float.BYTES);

    /** What GGUF files are read in, in the order in which messages list them. */
    public static final List<Format> GGUF = List.of(F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K);

    private static final List<Integer> GROUPS = List.of(32, 64, 128);
    private static final List<Integer> SPARSE_GROUPS = List.of(64, 128);

    /** Every format that the engine runs, in the order in which messages list them. */
    public static final List<Format> ALL = Stream
            .of(GGUF.stream(), Stream.of(I8_ROW), GROUPS.stream().map(g -> integers(8, g)), GROUPS.stream().map(g -> integers(4, g)),
                    Stream.of(I8_24), SPARSE_GROUPS.stream().map(Format::twoOfFour), Stream.of(I8_BITMASK),
                    SPARSE_GROUPS.stream().map(Format::bitmask))
            .flatMap(s -> s).toList();

    private static Format integers(int bits, int group) {
        return new Format("I" + bits + "_GROUP_" + group, Kind.INTEGER, group, Float.BYTES + 1 + group * bits / 8, bits, true);
    }

    private static Format twoOfFour(int group) {
        return new Format("I4_24_" + group, Kind.SPARSE, group, Float.BYTES + group / 8 + group / 4, 4, false);
    }

    private static Format bitmask(int group) {
        return new Format("I4_BITMASK_" + group, Kind.SPARSE, group, 0, 4, false);
    }

    private static Format sparse(String name, int group) {
        return named(name + group).orElseThrow(
                () -> new IllegalArgumentException("groups of " + group + " values are not supported, of " + SPARSE_GROUPS + " are"));
    }

    /**
     * Two of every four values, as nibbles that share a scale: a block is the scale in single precision, the mask, one bit a value, and the stored nibbles,
     * the low half of a byte first. A value is {@code scale * (q - 8)}; 3 bits a value beside the scale.
     *
     * @param group 64 or 128
     */
    public static Format i4TwoOfFour(int group) {
        return sparse("I4_24_", group);
    }

    /**
     * Any of the values, as nibbles that share a scale: as {@link #i4TwoOfFour}, but as many nibbles as the mask says, those of each 64 values beginning at
     * a byte. Rows differ in length.
     *
     * @param group 64 or 128
     */
    public static Format i4Bitmask(int group) {
        return sparse("I4_BITMASK_", group);
    }

    private static Format grouped(int bits, int group) {
        return named("I" + bits + "_GROUP_" + group)
                .orElseThrow(() -> new IllegalArgumentException("groups of " + group + " values are not supported, of " + GROUPS + " are"));
    }

    /**
     * Nibbles that share a scale: a block is the scale in single precision, the zero point as a byte, and for each 32 values 16 bytes of which the low
     * halves are the first 16 values, as in Q4_0. A value is {@code scale * (q - zero point)} with both in {@code 0 .. 15}.
     *
     * @param group 32, 64 or 128
     */
    public static Format i4Group(int group) {
        return grouped(4, group);
    }

    /**
     * Bytes that share a scale: a block is the scale in single precision, the zero point as a signed byte, and a signed byte for each value. A value is
     * {@code scale * (q - zero point)}.
     *
     * @param group 32, 64 or 128
     */
    public static Format i8Group(int group) {
        return grouped(8, group);
    }

    /** The format of that name in any case, if there is one. */
    public static Optional<Format> named(String name) {
        String upper = name.toUpperCase(Locale.ROOT);
        return ALL.stream().filter(f -> f.name.equals(upper)).findFirst();
    }

    /**
     * Whether rows differ in length. A tensor's data then begins with {@code rows + 1} offsets of 8 bytes, little-endian: where each row begins, from the
     * beginning of the data, and where the last one ends.
     */
    public boolean variable() {
        return bytes == 0;
    }

    /** Whether a dense matrix that is packed in it loses values to zero: {@link Tensor#as} prunes. */
    public boolean prunes() {
        return kind == Kind.SPARSE;
    }

    /** Whether rows of so many values are whole blocks, or may end within one. */
    public boolean packs(int cols) {
        return cols % group == 0 || pads();
    }

    /** Whether the last block of a row may be partly filled, with zeros after its values; else rows are whole blocks. */
    public boolean pads() {
        return kind == Kind.SPARSE;
    }

    /**
     * Blocks of a row.
     *
     * @throws IllegalArgumentException if {@code cols} is not a positive whole number of groups, or not positive where rows are padded
     */
    int blocks(int cols) {
        if (cols <= 0 || !packs(cols)) {
            throw new IllegalArgumentException(
                    name + " packs " + group + " values in a block: a row of " + cols + " is not a whole number of blocks");
        }
        return (cols - 1) / group + 1;
    }

    /**
     * Bytes of one row.
     *
     * @throws IllegalArgumentException      if {@code cols} is not a positive whole number of groups, or not positive where rows are padded
     * @throws UnsupportedOperationException if rows differ in length: {@link Tensor} knows where they are
     */
    public long rowBytes(int cols) {
        int blocks = blocks(cols);
        if (variable()) throw new UnsupportedOperationException("rows of " + name + " differ in length");
        return rowHeader + (long) blocks * bytes;
    }

    /**
     * Bytes of {@code rows} rows.
     *
     * @throws IllegalArgumentException      as {@link #rowBytes}
     * @throws UnsupportedOperationException as {@link #rowBytes}
     * @throws ArithmeticException           if the size does not fit in 63 bits
     */
    public long bytes(long rows, int cols) {
        return Math.multiplyExact(rows, rowBytes(cols));
    }

    /** Mean bits of a weight, scales of blocks included; a row's header is not. Of formats whose rows differ in length, 0. */
    public double bitsPerWeight() {
        return 8.0 * bytes / group;
    }

    @Override
    public String toString() {
        return name;
    }
}
