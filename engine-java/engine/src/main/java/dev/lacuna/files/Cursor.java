package dev.lacuna.files;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Reads a little-endian file from front to back. All arithmetic on numbers that come from a file happens here and is checked, and sizes are compared
 * with the bytes that remain before anything is allocated: a parser holds the numbers and never computes with them.
 */
final class Cursor {
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Path file;
    private final MemorySegment bytes;
    private long position;
    private String subject = "header";

    Cursor(Path file, MemorySegment bytes) {
        this.file = file;
        this.bytes = bytes;
    }

    /** Names what is read from here on, for messages. */
    void at(String what) {
        subject = what;
    }

    ModelFileException fail(String reason) {
        return new ModelFileException(file, subject, reason);
    }

    byte i8() {
        return bytes.get(ValueLayout.JAVA_BYTE, advance(1));
    }

    int u8() {
        return Byte.toUnsignedInt(i8());
    }

    short i16() {
        return bytes.get(SHORT, advance(2));
    }

    int u16() {
        return Short.toUnsignedInt(i16());
    }

    int i32() {
        return bytes.get(INT, advance(4));
    }

    long u32() {
        return Integer.toUnsignedLong(i32());
    }

    long i64() {
        return bytes.get(LONG, advance(8));
    }

    /** An unsigned 64-bit number; what does not fit in 63 bits is refused. */
    long u64() {
        long value = i64();
        if (value < 0) throw fail("the number " + Long.toUnsignedString(value) + " is over 2^63-1");
        return value;
    }

    boolean bool() {
        int value = u8();
        if (value > 1) throw fail("a boolean is 0 or 1, not " + value);
        return value == 1;
    }

    /** A 64-bit length and that many bytes of UTF-8. */
    String string(int most) {
        long length = u64();
        if (length > most) throw fail("a string of " + length + " bytes; at most " + most + " are read");
        byte[] utf8 = new byte[items(length, 1)];
        MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, advance(utf8.length), utf8, 0, utf8.length);
        // the decoder writes U+FFFD for what is malformed, so its absence proves the bytes good without a second pass
        String text = new String(utf8, StandardCharsets.UTF_8);
        if (text.indexOf('\uFFFD') >= 0 && !Arrays.equals(utf8, text.getBytes(StandardCharsets.UTF_8))) throw fail("a string is not UTF-8");
        return text;
    }

    /** A count of things that take at least {@code size} bytes each, once it is certain that the file has room for them. */
    int items(long count, int size) {
        long remaining = bytes.byteSize() - position;
        if (count > remaining / size)
            throw fail("truncated: " + count + " items of " + size + " bytes or more, where the file has " + remaining + " bytes left");
        if (count > Integer.MAX_VALUE - 8) throw fail(count + " items are more than an array holds");
        return (int) count;
    }

    /** Moves to the next multiple of a power of two; past the end there is nothing left to read. */
    long align(long alignment) {
        return up(position, alignment);
    }

    private long up(long value, long alignment) {
        return sum(value, alignment - 1) & -alignment;
    }

    long sum(long a, long b) {
        try {
            return Math.addExact(a, b);
        } catch (ArithmeticException e) {
            throw overflow(e);
        }
    }

    long product(long a, long b) {
        try {
            return Math.multiplyExact(a, b);
        } catch (ArithmeticException e) {
            throw overflow(e);
        }
    }

    /** A size as an int. */
    int size(long value, String what) {
        if (value <= 0 || value > Integer.MAX_VALUE) throw fail(value + " " + what + "; 1 to " + Integer.MAX_VALUE + " are supported");
        return (int) value;
    }

    /** Bytes of the file that need not be the next ones. */
    MemorySegment slice(long offset, long length) {
        if (sum(offset, length) > bytes.byteSize()) {
            throw fail("ends at byte " + sum(offset, length) + " of a file that has " + bytes.byteSize() + " (truncated?)");
        }
        return bytes.asSlice(offset, length);
    }

    private long advance(int length) {
        long at = position;
        if (length > bytes.byteSize() - at) throw fail("truncated: the file ends at byte " + bytes.byteSize());
        position = at + length;
        return at;
    }

    private ModelFileException overflow(ArithmeticException e) {
        return new ModelFileException(file, subject, "its size overflows 63 bits", e);
    }
}
