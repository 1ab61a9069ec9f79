package dev.lacuna.files;

import dev.lacuna.tensor.Codec;
import dev.lacuna.tensor.Format;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes small GGUF files for tests, good ones and, through the methods that say "raw", bad ones.
 *
 * <pre>{@code
 * new GgufWriter().put("general.architecture", "llama").put("llama.block_count", 1)
 *         .tensor("output.weight", Format.Q8_0, values, 64, 32) // 64 columns, 32 rows
 *         .write(folder.resolve("tiny.gguf"));
 * }</pre>
 */
public final class GgufWriter {
    /** The types of metadata values, numbered as in the file. */
    public enum Type {
        U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64
    }

    private record Row(String name, int type, long[] dims, long offset) {}

    private final Bytes metadata = new Bytes();
    private final Bytes data = new Bytes();
    private final List<Row> rows = new ArrayList<>();
    private long keys;
    private int magic = (int) GgufPart.MAGIC;
    private int version = 3;
    private int alignment = 32;
    private long announcedTensors = -1;
    private long announcedKeys = -1;

    /**
     * Adds a key; the type in the file follows from the Java type: Integer u32 (i32 where negative), Long u64 (i64), Float f32, Double f64, Boolean,
     * String, and arrays {@code int[]} i32, {@code long[]} i64, {@code float[]}, {@code double[]}, {@code boolean[]}, {@code String[]}, {@code byte[]} u8.
     */
    public GgufWriter put(String key, Object value) {
        return put(key, switch (value) {
            case Integer i -> i < 0 ? Type.I32 : Type.U32;
            case Long l -> l < 0 ? Type.I64 : Type.U64;
            case Float _ -> Type.F32;
            case Double _ -> Type.F64;
            case Boolean _ -> Type.BOOL;
            case String _ -> Type.STRING;
            case int[] _ -> Type.I32;
            case long[] _ -> Type.I64;
            case float[] _ -> Type.F32;
            case double[] _ -> Type.F64;
            case boolean[] _ -> Type.BOOL;
            case String[] _ -> Type.STRING;
            case byte[] _ -> Type.U8;
            default -> throw new IllegalArgumentException("no GGUF type for " + value.getClass());
        }, value);
    }

    /** Adds a key of a given type; an array's elements have it. */
    public GgufWriter put(String key, Type type, Object value) {
        Bytes out = new Bytes();
        if (!value.getClass().isArray()) return rawValue(key, type.ordinal(), out.value(type, value).toByteArray());
        int length = java.lang.reflect.Array.getLength(value);
        out.i32(type.ordinal()).i64(length);
        for (int i = 0; i < length; i++) out.value(type, java.lang.reflect.Array.get(value, i));
        return rawValue(key, Type.ARRAY.ordinal(), out.toByteArray());
    }

    /** Adds a key with any type number and any bytes. */
    public GgufWriter rawValue(String key, int type, byte[] value) {
        metadata.string(key).i32(type).writeBytes(value);
        keys++;
        return this;
    }

    /** Adds a tensor; {@code dims} begin with the columns. */
    public GgufWriter tensor(String name, Format format, float[] values, long... dims) {
        byte[] packed = new byte[values.length / format.group() * format.bytes()];
        Codec.of(format).encode(values, 0, values.length, MemorySegment.ofArray(packed), 0);
        return rawTensor(name, GgmlType.number(format), data.size(), dims).rawData(packed);
    }

    /** Adds a vector of F32. */
    public GgufWriter vector(String name, float... values) {
        return tensor(name, Format.F32, values, values.length);
    }

    /** Adds a row of the tensor table with any type number and offset, and no data. */
    public GgufWriter rawTensor(String name, int type, long offset, long... dims) {
        rows.add(new Row(name, type, dims, offset));
        return this;
    }

    /** Adds bytes to the data, and zeros up to the alignment. */
    public GgufWriter rawData(byte[] bytes) {
        data.writeBytes(bytes);
        data.pad(alignment);
        return this;
    }

    /** The alignment of the data; writes the key. To be called before tensors are added. */
    public GgufWriter alignment(int bytes) {
        alignment = bytes;
        return put("general.alignment", bytes);
    }

    public GgufWriter magic(int number) {
        magic = number;
        return this;
    }

    public GgufWriter version(int number) {
        version = number;
        return this;
    }

    /** Writes these counts in the header, whatever there is. */
    public GgufWriter rawCounts(long tensors, long metadataKeys) {
        announcedTensors = tensors;
        announcedKeys = metadataKeys;
        return this;
    }

    public byte[] bytes() {
        Bytes out = new Bytes().i32(magic).i32(version);
        out.i64(announcedTensors == -1 ? rows.size() : announcedTensors).i64(announcedKeys == -1 ? keys : announcedKeys);
        out.writeBytes(metadata.toByteArray());
        for (Row row : rows) {
            out.string(row.name).i32(row.dims.length);
            for (long dim : row.dims) out.i64(dim);
            out.i32(row.type).i64(row.offset);
        }
        out.pad(alignment);
        out.writeBytes(data.toByteArray());
        return out.toByteArray();
    }

    public Path write(Path file) {
        try {
            return Files.write(file, bytes());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Little-endian output. */
    static final class Bytes extends ByteArrayOutputStream {
        Bytes i16(int value) {
            writeBytes(ByteBuffer.allocate(2).order(ByteOrder.LITTLE_ENDIAN).putShort((short) value).array());
            return this;
        }

        Bytes i32(int value) {
            writeBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
            return this;
        }

        Bytes i64(long value) {
            writeBytes(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
            return this;
        }

        Bytes string(String text) {
            byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
            i64(utf8.length).writeBytes(utf8);
            return this;
        }

        Bytes value(Type type, Object value) {
            switch (type) {
                case BOOL -> write((Boolean) value ? 1 : 0);
                case STRING -> string((String) value);
                case U8, I8 -> write(((Number) value).intValue());
                case U16, I16 -> i16(((Number) value).intValue());
                case U32, I32 -> i32(((Number) value).intValue());
                case F32 -> i32(Float.floatToRawIntBits(((Number) value).floatValue()));
                case U64, I64 -> i64(((Number) value).longValue());
                case F64 -> i64(Double.doubleToRawLongBits(((Number) value).doubleValue()));
                case ARRAY -> throw new IllegalArgumentException("an array's type is that of its elements");
            }
            return this;
        }

        void pad(int alignment) {
            while (size() % alignment != 0) write(0);
        }
    }
}
