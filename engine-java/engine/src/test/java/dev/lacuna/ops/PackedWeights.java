package dev.lacuna.ops;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.random.RandomGenerator;

/** Random tensors in any format, made from bytes, so that no encoder stands between a kernel and what a file may hold. */
final class PackedWeights {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private PackedWeights() {}

    /** About zero-mean weights of about unit variance. */
    static Tensor random(Format format, int rows, int cols, Arena arena, RandomGenerator random) {
        return pack(format, rows, cols, arena, random, false);
    }

    /** Small integers: scales 1 and whole minima, so that a sum of products with small whole inputs has one float result in any order. */
    static Tensor whole(Format format, int rows, int cols, Arena arena, RandomGenerator random) {
        return pack(format, rows, cols, arena, random, true);
    }

    private static Tensor pack(Format format, int rows, int cols, Arena arena, RandomGenerator random, boolean whole) {
        if (format.kind() == Format.Kind.SPARSE) return sparse(format, rows, cols, arena, random, whole);
        long bytes = format.bytes(rows, cols);
        // no alignment is promised to kernels: begin at an odd address
        MemorySegment data = arena.allocate(bytes + 1, 64).asSlice(1);
        if (format.kind() == Format.Kind.FLOAT) {
            for (long i = 0; i < (long) rows * cols; i++) {
                float v = whole ? random.nextInt(-7, 8) : (float) random.nextGaussian();
                if (format == Format.F32) {
                    data.set(FLOAT, 4 * i, v);
                } else {
                    data.set(SHORT, 2 * i, format == Format.F16 ? Float.floatToFloat16(v) : (short) (Float.floatToRawIntBits(v) >>> 16));
                }
            }
        } else if (format.kind() == Format.Kind.INTEGER) {
            integers(format, rows, cols, data, random, whole);
        } else {
            byte[] block = new byte[format.bytes()];
            for (long at = 0; at < bytes; at += block.length) {
                random.nextBytes(block);
                MemorySegment.copy(block, 0, data, ValueLayout.JAVA_BYTE, at, block.length);
                scales(format, data.asSlice(at, block.length), random, whole);
            }
        }
        return new Tensor("random-" + format + "-" + rows + "x" + cols, format, rows, cols, data);
    }

    /** Random bytes under a scale for each row, or a scale and a zero point for each group. */
    private static void integers(Format format, int rows, int cols, MemorySegment data, RandomGenerator random, boolean whole) {
        byte[] bytes = new byte[(int) data.byteSize()];
        random.nextBytes(bytes);
        MemorySegment.copy(bytes, 0, data, ValueLayout.JAVA_BYTE, 0, bytes.length);
        long row = format.rowBytes(cols);
        for (int r = 0; r < rows; r++) {
            for (long at = r * row; at < (r + 1) * row; at += format.rowHeader() > 0 ? row : format.bytes()) {
                data.set(FLOAT, at, whole ? 1 : (float) (4.0 / (1 << format.bits())) * random.nextFloat(0.5f, 1.5f));
                if (!format.zeroPoint()) continue;
                int middle = format.bits() == 4 ? 8 : 0;
                data.set(ValueLayout.JAVA_BYTE, at + Float.BYTES, (byte) (middle + random.nextInt(-8, 8)));
            }
        }
    }

    /** Masks of every density, none and all included, over random bytes. */
    private static Tensor sparse(Format format, int rows, int cols, Arena arena, RandomGenerator random, boolean whole) {
        if (cols <= 0) format.rowBytes(cols);
        ByteBuffer[] packed = new ByteBuffer[rows];
        long at = format.variable() ? 8L * (rows + 1) : 0;
        long size = at;
        for (int r = 0; r < rows; r++) {
            packed[r] = sparse(format, cols, random, whole);
            size += packed[r].remaining();
        }
        MemorySegment data = arena.allocate(size + 1, 64).asSlice(1);
        for (int r = 0; r <= rows; r++) {
            if (format.variable()) data.set(LONG, 8L * r, at);
            if (r == rows) break;
            MemorySegment.copy(MemorySegment.ofBuffer(packed[r]), 0, data, at, packed[r].remaining());
            at += packed[r].remaining();
        }
        return new Tensor("random-" + format + "-" + rows + "x" + cols, format, rows, cols, data);
    }

    private static ByteBuffer sparse(Format format, int cols, RandomGenerator random, boolean whole) {
        ByteBuffer row = ByteBuffer.allocate(8 * cols + 1024).order(ByteOrder.LITTLE_ENDIAN);
        boolean own = format.rowHeader() == 0;
        float unit = (float) (4.0 / (1 << format.bits()));
        if (!own) row.putFloat(whole ? 1 : unit * random.nextFloat(0.5f, 1.5f));
        for (int run = 0; run < cols; run += format.group()) {
            if (own) row.putFloat(whole ? 1 : unit * random.nextFloat(0.5f, 1.5f) * (random.nextBoolean() ? 1 : -1));
            long[] masks = new long[format.group() / 64];
            for (int i = 0; i < masks.length; i++) row.putLong(masks[i] = mask(format, random));
            for (long mask : masks) {
                byte[] values = new byte[(Long.bitCount(mask) * format.bits() + 7) / 8];
                random.nextBytes(values);
                row.put(values);
            }
        }
        return row.flip();
    }

    private static long mask(Format format, RandomGenerator random) {
        long mask = 0;
        if (format.variable()) {
            double density = random.nextInt(-1, 6) / 4.0;
            for (int i = 0; i < 64; i++) mask |= random.nextDouble() < density ? 1L << i : 0;
        } else {
            long[] pairs = {3, 5, 6, 9, 10, 12};
            for (int i = 0; i < 64; i += 4) mask |= pairs[random.nextInt(6)] << i;
        }
        return mask;
    }

    /** Overwrites the scale fields of a block of random bytes. */
    private static void scales(Format format, MemorySegment block, RandomGenerator random, boolean whole) {
        boolean sub = format.kind() == Format.Kind.SUPER_BLOCK;
        float unit = (float) (4.0 / (1 << format.bits()) / (sub ? 32 : 1));
        float d = whole ? 1 : unit * random.nextFloat(0.5f, 1.5f) * (random.nextInt(4) == 0 && !format.zeroPoint() ? -1 : 1);
        int dAt = format.equals(Format.Q6_K) ? 208 : 0;
        half(block, dAt, d);
        float middle = ((1 << format.bits()) - 1) / 2f;
        if (format.zeroPoint()) {
            float min = whole ? 1 << (format.bits() - 1) : d * middle * random.nextFloat(0.8f, 1.2f);
            // Q4_1 and Q5_1 add their minimum, the super-blocks subtract theirs, times a 6-bit factor
            half(block, 2, sub ? whole ? 1 : min : -min);
        }
        if (!whole || !sub) return;
        if (format.equals(Format.Q6_K)) {
            for (int i = 192; i < 208; i++) block.set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt(-4, 5));
        } else {
            // 6-bit scales and minima of at most 7: eight in the low bits of the first bytes, eight in the nibbles of the others
            for (int i = 4; i < 16; i++) {
                block.set(ValueLayout.JAVA_BYTE, i, (byte) (block.get(ValueLayout.JAVA_BYTE, i) & (i < 12 ? 0x07 : 0x77)));
            }
        }
    }

    private static void half(MemorySegment block, int at, float v) {
        block.set(SHORT, at, Float.floatToFloat16(v));
    }
}
