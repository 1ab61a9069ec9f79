package dev.lacuna.files;

import static dev.lacuna.files.ModelFileException.quoted;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;

/**
 * One safetensors file, parsed: a 64-bit length, that much JSON, data. The JSON is an object of {@code name: {dtype, shape, data_offsets}} and strings
 * under {@code __metadata__}; the tensors cover the data without holes or overlap.
 */
record SafetensorsPart(Path path, Map<String, Object> metadata, Map<String, Entry> entries) {
    /** A tensor's row of the header and its bytes. */
    record Entry(TensorInfo info, MemorySegment data) {
        int rank() {
            return info.dims().length;
        }

        long dim(int i) {
            return info.dims()[i];
        }
    }

    static final int LONGEST_HEADER = 100_000_000;
    static final int MOST_TENSORS = 100_000;
    static final int LONGEST_NAME = 1024;
    private static final int MOST_DIMS = 8;
    private static final int MOST_METADATA = 65_536;
    /** Types by name with their bytes; only the first three are weights of themselves. */
    private static final Map<String, Integer> BYTES = Map.ofEntries(Map.entry("F32", 4), Map.entry("F16", 2), Map.entry("BF16", 2),
            Map.entry("I8", 1), Map.entry("U8", 1), Map.entry("BOOL", 1), Map.entry("I16", 2), Map.entry("U16", 2), Map.entry("I32", 4),
            Map.entry("U32", 4), Map.entry("I64", 8), Map.entry("U64", 8), Map.entry("F64", 8), Map.entry("F8_E4M3", 1),
            Map.entry("F8_E5M2", 1), Map.entry("F8_E8M0", 1));
    private static final List<Format> WEIGHTS = List.of(Format.F32, Format.F16, Format.BF16);

    /** The message's end for a tensor whose type is not a weight's. */
    static final String SUPPORTED = "supported are " + WEIGHTS + ", and the integers of compressed-tensors";

    static SafetensorsPart parse(Path path, MemorySegment bytes) {
        Cursor in = new Cursor(path, bytes);
        long length = in.u64();
        if (length > LONGEST_HEADER)
            throw in.fail(length + " bytes; at most " + LONGEST_HEADER + " are read (is this a safetensors file?)");
        byte[] header = new byte[in.items(length, 1)];
        long data = in.sum(Long.BYTES, length);
        MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, Long.BYTES, header, 0, header.length);
        if (header.length == 0 || header[0] != '{') throw in.fail("does not begin with {: not a safetensors file");
        SafetensorsPart part = new SafetensorsPart(path, new LinkedHashMap<>(), new LinkedHashMap<>());
        try (JsonParser json = Json.factory().createParser(ObjectReadContext.empty(), header)) {
            part.header(new Header(json, in), data);
        } catch (JacksonException e) {
            throw Json.malformed(path, e);
        }
        part.refuseHoles(in, data, bytes.byteSize());
        return part;
    }

    /** The header's JSON, token by token: no tree stands between a large header and its table. */
    private record Header(JsonParser json, Cursor in) {
        JsonToken next() {
            return json.nextToken();
        }

        void expect(JsonToken wanted, String what) {
            if (next() != wanted) throw in.fail(what);
        }

        String text(String what) {
            expect(JsonToken.VALUE_STRING, what + " is not a string");
            return json.getString();
        }

        /** A number of the file: whole, not negative, of 63 bits. */
        long number(String what) {
            if (json.currentToken() != JsonToken.VALUE_NUMBER_INT) throw in.fail(what + " is not a whole number");
            // a number that does not fit is a JacksonException
            long value = json.getLongValue();
            if (value < 0) throw in.fail(what + " is negative");
            return value;
        }

        long[] numbers(String what, int most) {
            expect(JsonToken.START_ARRAY, what + " is not an array");
            long[] out = new long[most];
            int n = 0;
            while (next() != JsonToken.END_ARRAY) {
                if (n == most) throw in.fail(what + " has more than " + most + " numbers");
                out[n++] = number(what);
            }
            return Arrays.copyOf(out, n);
        }
    }

    private void header(Header h, long data) {
        h.expect(JsonToken.START_OBJECT, "is not an object");
        while (h.next() != JsonToken.END_OBJECT) {
            String name = h.json.currentName();
            if (name.equals("__metadata__")) {
                strings(h);
                continue;
            }
            h.in.at("tensor " + quoted(name));
            if (name.length() > LONGEST_NAME)
                throw h.in.fail("a name of " + name.length() + " characters; at most " + LONGEST_NAME + " are read");
            if (entries.size() == MOST_TENSORS) throw h.in.fail("is one more than the " + MOST_TENSORS + " that are read");
            if (entries.put(name, entry(h, name, data)) != null) throw h.in.fail("occurs twice");
        }
        h.in.at("header");
        if (h.next() != null) throw h.in.fail("goes on behind its object");
    }

    private void strings(Header h) {
        h.in.at("__metadata__");
        h.expect(JsonToken.START_OBJECT, "is not an object");
        while (h.next() != JsonToken.END_OBJECT) {
            String key = h.json.currentName();
            if (metadata.size() == MOST_METADATA) throw h.in.fail("has more than " + MOST_METADATA + " keys");
            if (metadata.put(key, h.text(quoted(key))) != null) throw h.in.fail(quoted(key) + " occurs twice");
        }
    }

    private static Entry entry(Header h, String name, long data) {
        Cursor in = h.in;
        h.expect(JsonToken.START_OBJECT, "is not an object");
        String type = null;
        long[] shape = null;
        long[] range = null;
        while (h.next() != JsonToken.END_OBJECT) {
            String field = h.json.currentName();
            switch (field) {
                case "dtype" -> type = h.text("its dtype");
                case "shape" -> shape = h.numbers("its shape", MOST_DIMS);
                case "data_offsets" -> range = h.numbers("its data_offsets", 2);
                default -> throw in.fail("the field " + quoted(field) + " is unknown; there are dtype, shape and data_offsets");
            }
        }
        if (type == null || shape == null || range == null || range.length != 2)
            throw in.fail("needs a dtype, a shape and two data_offsets");
        Integer size = BYTES.get(type);
        if (size == null) throw in.fail("the dtype " + quoted(type) + " is unknown; " + SUPPORTED);
        long bytes = size;
        for (long dim : shape) bytes = in.product(bytes, dim);
        if (range[1] < range[0] || range[1] - range[0] != bytes) {
            throw in.fail("its shape takes " + bytes + " bytes, its data_offsets are " + range[0] + " to " + range[1]);
        }
        long offset = in.sum(data, range[0]);
        Optional<Format> format = Format.named(type).filter(WEIGHTS::contains);
        return new Entry(new TensorInfo(name, shape, type, format, offset, bytes), in.slice(offset, bytes));
    }

    private void refuseHoles(Cursor in, long data, long end) {
        List<TensorInfo> byOffset = new ArrayList<>();
        for (Entry e : entries.values()) byOffset.add(e.info);
        byOffset.sort((a, b) -> a.offset() != b.offset() ? Long.compare(a.offset(), b.offset()) : Long.compare(a.bytes(), b.bytes()));
        long expected = data;
        for (TensorInfo tensor : byOffset) {
            in.at("tensor " + quoted(tensor.name()));
            if (tensor.offset() != expected)
                throw in.fail(tensor.offset() < expected ? "overlaps another tensor" : "leaves a hole before it");
            expected = in.sum(expected, tensor.bytes());
        }
        in.at("file");
        if (expected != end) throw in.fail("has " + end + " bytes, its tensors end at byte " + expected);
    }

    /** A float tensor as a matrix, its last dimension as columns. */
    static Tensor matrix(Path path, Entry entry) {
        TensorInfo info = entry.info;
        Cursor in = new Cursor(path, entry.data);
        in.at("tensor " + quoted(info.name()));
        Format format = info.format().orElseThrow(() -> in.fail("is of type " + info.type() + "; " + SUPPORTED));
        long[] dims = info.dims();
        int cols = dims.length == 0 ? 1 : in.size(dims[dims.length - 1], "columns");
        long rows = 1;
        for (int i = 0; i + 1 < dims.length; i++) rows = in.product(rows, dims[i]);
        return new Tensor(info.name(), format, in.size(rows, "rows"), cols, entry.data);
    }
}
