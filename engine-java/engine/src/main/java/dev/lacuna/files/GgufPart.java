package dev.lacuna.files;

import static dev.lacuna.files.ModelFileException.quoted;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** One GGUF file, parsed. The layout is header, metadata, tensor table, padding, data; see the GGUF specification in the ggml project. */
record GgufPart(Path path, Map<String, Object> metadata, Map<String, Entry> entries) {
    /** A row of the tensor table and, where the engine can read it, its bytes. */
    record Entry(TensorInfo info, Optional<Tensor> tensor) {}

    static final long MAGIC = 0x46554747; // "GGUF"
    static final int MOST_KEYS = 65_536;
    static final int MOST_TENSORS = 100_000;
    static final int LONGEST_NAME = 1024;
    static final int LONGEST_STRING = 16 << 20;
    private static final long SWAPPED_MAGIC = 0x47475546;
    private static final int MOST_DIMS = 4;
    /** Least bytes of a metadata entry (length, one letter, type, one byte) and of a row of the tensor table (one dimension). */
    private static final int LEAST_KEY = 14, LEAST_TENSOR = 33;
    private static final long DEFAULT_ALIGNMENT = 32;

    /** The number at a key, or {@code otherwise} where the key is absent. */
    long integer(String key, long otherwise) {
        return switch (metadata.get(key)) {
            case null -> otherwise;
            case Long value -> value;
            default -> throw new ModelFileException(path, "key " + quoted(key), "is not an integer");
        };
    }

    static GgufPart parse(Path path, MemorySegment bytes) {
        Cursor in = new Cursor(path, bytes);
        long magic = in.u32();
        long version = in.u32();
        if (magic == SWAPPED_MAGIC || (magic == MAGIC && version != 0 && (version & 0xFFFF) == 0)) {
            throw in.fail("a big-endian GGUF file; only little-endian ones are read");
        }
        if (magic != MAGIC)
            throw in.fail("not a GGUF file: it begins with the bytes 0x" + Integer.toHexString(Integer.reverseBytes((int) magic)));
        if (version != 2 && version != 3) throw in.fail("GGUF version " + version + "; 2 and 3 are supported: convert the model again");
        int tensors = count(in, "tensors", MOST_TENSORS, LEAST_TENSOR);
        int keys = count(in, "metadata keys", MOST_KEYS, LEAST_KEY);
        Map<String, Object> metadata = metadata(in, keys);
        GgufPart part = new GgufPart(path, Collections.unmodifiableMap(metadata), new LinkedHashMap<>());
        part.readTable(in, tensors);
        return part;
    }

    private static int count(Cursor in, String what, int most, int least) {
        in.at("number of " + what);
        long count = in.u64();
        if (count > most) throw in.fail(count + " are more than the " + most + " that are read");
        return in.items(count, least);
    }

    private static Map<String, Object> metadata(Cursor in, int count) {
        Map<String, Object> out = new LinkedHashMap<>();
        for (int i = 0; i < count; i++) {
            in.at("metadata key " + i);
            String key = in.string(LONGEST_NAME);
            in.at("key " + quoted(key));
            if (out.put(key, value(in)) != null) throw in.fail("occurs twice");
        }
        return out;
    }

    private static Object value(Cursor in) {
        int type = in.i32();
        return switch (type) {
            case 0 -> (long) in.u8();
            case 1 -> (long) in.i8();
            case 2 -> (long) in.u16();
            case 3 -> (long) in.i16();
            case 4 -> in.u32();
            case 5 -> (long) in.i32();
            case 6 -> (double) Float.intBitsToFloat(in.i32());
            case 7 -> in.bool();
            case 8 -> in.string(LONGEST_STRING);
            case 9 -> array(in);
            case 10 -> in.u64();
            case 11 -> in.i64();
            case 12 -> Double.longBitsToDouble(in.i64());
            default -> throw in.fail("value type " + Integer.toUnsignedString(type) + " is unknown; 0 to 12 are supported");
        };
    }

    private static Object array(Cursor in) {
        int type = in.i32();
        long count = in.u64();
        return switch (type) {
            case 0, 1, 2, 3, 5 -> ints(in, type, count);
            case 4, 10, 11 -> longs(in, type, count);
            case 6 -> {
                float[] out = new float[in.items(count, 4)];
                for (int i = 0; i < out.length; i++) out[i] = Float.intBitsToFloat(in.i32());
                yield out;
            }
            case 7 -> {
                boolean[] out = new boolean[in.items(count, 1)];
                for (int i = 0; i < out.length; i++) out[i] = in.bool();
                yield out;
            }
            case 8 -> {
                String[] out = new String[in.items(count, 8)];
                for (int i = 0; i < out.length; i++) out[i] = in.string(LONGEST_STRING);
                yield out;
            }
            case 9 -> throw in.fail("an array of arrays; arrays hold numbers, booleans or strings");
            case 12 -> {
                double[] out = new double[in.items(count, 8)];
                for (int i = 0; i < out.length; i++) out[i] = Double.longBitsToDouble(in.i64());
                yield out;
            }
            default -> throw in.fail("an array of value type " + Integer.toUnsignedString(type) + ", which is unknown");
        };
    }

    private static int[] ints(Cursor in, int type, long count) {
        int[] out = new int[in.items(count, type < 2 ? 1 : type < 4 ? 2 : 4)];
        for (int i = 0; i < out.length; i++) {
            out[i] = switch (type) {
                case 0 -> in.u8();
                case 1 -> in.i8();
                case 2 -> in.u16();
                case 3 -> in.i16();
                default -> in.i32();
            };
        }
        return out;
    }

    private static long[] longs(Cursor in, int type, long count) {
        long[] out = new long[in.items(count, type == 4 ? 4 : 8)];
        for (int i = 0; i < out.length; i++) out[i] = type == 4 ? in.u32() : type == 10 ? in.u64() : in.i64();
        return out;
    }

    /** A row of the table before the place of the data is known. */
    @SuppressWarnings("ArrayRecordComponent") // lives only while the table is read
    private record Row(String name, long[] dims, long type, long offset) {}

    private void readTable(Cursor in, int count) {
        in.at("key \"general.alignment\"");
        long alignment = integer("general.alignment", DEFAULT_ALIGNMENT);
        if (alignment <= 0 || Long.bitCount(alignment) != 1) throw in.fail(alignment + " is not a power of two");
        List<Row> rows = new ArrayList<>();
        for (int i = 0; i < count; i++) rows.add(row(in, i, alignment));
        in.at("tensor data");
        long data = in.align(alignment);
        for (Row row : rows) {
            in.at("tensor " + quoted(row.name));
            if (entries.put(row.name, entry(in, row, data)) != null) throw in.fail("occurs twice");
        }
        refuseOverlap(in);
    }

    private static Row row(Cursor in, int i, long alignment) {
        in.at("tensor " + i);
        String name = in.string(LONGEST_NAME);
        in.at("tensor " + quoted(name));
        long rank = in.u32();
        if (rank == 0 || rank > MOST_DIMS) throw in.fail(rank + " dimensions; 1 to " + MOST_DIMS + " are supported");
        long[] dims = new long[(int) rank];
        for (int d = 0; d < dims.length; d++) {
            dims[d] = in.u64();
            if (dims[d] == 0) throw in.fail("dimension " + d + " is zero");
        }
        long type = in.u32();
        long offset = in.u64();
        if ((offset & (alignment - 1)) != 0) throw in.fail("its offset " + offset + " is not a multiple of the alignment, " + alignment);
        return new Row(name, dims, type, offset);
    }

    private static Entry entry(Cursor in, Row row, long data) {
        String type = GgmlType.name(row.type);
        Optional<Format> format = GgmlType.format(row.type);
        long offset = in.sum(data, row.offset);
        if (format.isEmpty()) {
            in.slice(offset, 0);
            return new Entry(new TensorInfo(row.name, row.dims, type, format, offset, -1), Optional.empty());
        }
        Format packing = format.get();
        int cols = in.size(row.dims[0], "columns");
        int rows = in.size(Arrays.stream(row.dims).skip(1).reduce(1, in::product), "rows");
        if (cols % packing.group() != 0) {
            throw in.fail("rows of " + cols + " values are not a whole number of " + packing + "'s blocks of " + packing.group());
        }
        long bytes = in.product(rows, packing.rowBytes(cols));
        Tensor tensor = new Tensor(row.name, packing, rows, cols, in.slice(offset, bytes));
        return new Entry(new TensorInfo(row.name, row.dims, type, format, offset, bytes), Optional.of(tensor));
    }

    private void refuseOverlap(Cursor in) {
        List<TensorInfo> byOffset = entries.values().stream().map(Entry::info).filter(t -> t.bytes() > 0)
                .sorted(Comparator.comparingLong(TensorInfo::offset)).toList();
        for (int i = 1; i < byOffset.size(); i++) {
            TensorInfo before = byOffset.get(i - 1), tensor = byOffset.get(i);
            in.at("tensor " + quoted(tensor.name()));
            if (in.sum(before.offset(), before.bytes()) > tensor.offset()) throw in.fail("overlaps tensor " + quoted(before.name()));
        }
    }
}
