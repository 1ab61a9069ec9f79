package dev.lacuna.files;

import dev.lacuna.tensor.Codec;
import dev.lacuna.tensor.Format;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Writes small safetensors files for tests, good ones and, through the methods that say "raw", bad ones. */
public final class SafetensorsWriter {
    private final List<String> entries = new ArrayList<>();
    private final ByteArrayOutputStream data = new ByteArrayOutputStream();

    /** Adds a tensor of floats; {@code shape} ends with the columns. */
    public SafetensorsWriter tensor(String name, Format format, float[] values, long... shape) {
        byte[] packed = new byte[values.length * format.bytes()];
        Codec.of(format).encode(values, 0, values.length, MemorySegment.ofArray(packed), 0);
        return tensor(name, format.name(), packed, shape);
    }

    /** Adds a tensor of any type. */
    public SafetensorsWriter tensor(String name, String type, byte[] bytes, long... shape) {
        int from = data.size();
        data.writeBytes(bytes);
        return raw("\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}".formatted(name, type,
                Arrays.toString(shape).replace(" ", ""), from, data.size()));
    }

    /** Adds an entry of the header as it is. */
    public SafetensorsWriter raw(String entry) {
        entries.add(entry);
        return this;
    }

    /** Adds bytes to the data. */
    public SafetensorsWriter rawData(int bytes) {
        data.writeBytes(new byte[bytes]);
        return this;
    }

    public String header() {
        return "{" + String.join(",", entries) + "}";
    }

    public byte[] bytes() {
        return bytes(header(), data.toByteArray());
    }

    public static byte[] bytes(String header, byte[] data) {
        byte[] utf8 = header.getBytes(StandardCharsets.UTF_8);
        GgufWriter.Bytes out = new GgufWriter.Bytes().i64(utf8.length);
        out.writeBytes(utf8);
        out.writeBytes(data);
        return out.toByteArray();
    }

    public Path write(Path file) {
        try {
            return Files.write(file, bytes());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
