package dev.lacuna.files;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;

import com.code_intelligence.jazzer.junit.FuzzTest;
import com.sun.management.ThreadMXBean;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** Whatever the bytes are, the reader either reads them or says what is wrong. */
class SafetensorsFuzzTest {
    private static final Path FILE = Path.of("fuzz.safetensors");
    private static final int WIDEST_ROW = 1 << 16;
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    /** Fits every seed with integers. */
    private static final JsonNode CONFIG = Json.parse(FILE, """
            {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {
            "a": {"targets": ["re:n"], "weights": {"num_bits": 4, "group_size": 32, "strategy": "group", "symmetric": true}},
            "b": {"targets": ["p"], "weights": {"num_bits": 4, "group_size": 32, "strategy": "group", "symmetric": false}},
            "c": {"targets": ["Linear"], "weights": {"num_bits": 8, "strategy": "channel", "symmetric": true}}}}}
            """.getBytes(StandardCharsets.UTF_8));

    static {
        // what is allocated once, by loading classes, is not the input's doing
        seeds().values().forEach(seed -> SafetensorsPart.parse(FILE, MemorySegment.ofArray(seed.bytes())));
    }

    @FuzzTest(maxDuration = "20s")
    void reads(byte[] data) {
        try (Safetensors model = new Safetensors(FILE, CONFIG, new HashMap<>(), List.of(parse(data)), Arena.ofShared())) {
            for (String name : model.names()) touch(model, name);
        } catch (ModelFileException e) {
            if (!e.getMessage().startsWith(FILE.toString()))
                throw new AssertionError("a message that does not name the file: " + e.getMessage(), e);
        }
    }

    /** Parses, and allocates no more than four times the input and a mebibyte on the way, whether it succeeds or not. */
    private static SafetensorsPart parse(byte[] data) {
        long before = THREADS.getCurrentThreadAllocatedBytes();
        try {
            return SafetensorsPart.parse(FILE, MemorySegment.ofArray(data));
        } finally {
            long allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
            if (allocated > 4L * data.length + (1 << 20)) tooMuch(allocated, data.length);
        }
    }

    private static void tooMuch(long allocated, int length) {
        throw new AssertionError(allocated + " bytes allocated for a file of " + length);
    }

    /** What the fuzzer starts from. */
    private static Map<String, SafetensorsWriter> seeds() {
        SafetensorsWriter floats = new SafetensorsWriter().raw("\"__metadata__\":{\"format\":\"pt\"}")
                .tensor("a", Format.F32, new float[6], 2, 3)
                .tensor("b", Format.F16, new float[4], 4).tensor("c", Format.BF16, new float[8], 2, 2, 2)
                .tensor("d", Format.F32, new float[1]);
        SafetensorsWriter bytes = new SafetensorsWriter().tensor("m.weight", "I8", new byte[64], 2, 32)
                .tensor("m.weight_scale", Format.BF16, new float[2], 2, 1).tensor("other", "F64", new byte[8], 1)
                .tensor("none", "U8", new byte[0], 0);
        SafetensorsWriter packed = new SafetensorsWriter().tensor("p.weight_packed", "I32", new byte[64], 2, 8)
                .tensor("p.weight_scale", Format.F16, new float[4], 2, 2)
                .tensor("p.weight_shape", "I64", new byte[]{2, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0}, 2)
                .tensor("p.weight_zero_point", "I32", new byte[8], 1, 2);
        return Map.of("floats", floats, "bytes", bytes, "packed", packed);
    }

    /** Writes the seeds anew: {@code main(src/test/resources/dev/lacuna/files/SafetensorsFuzzTestInputs/reads)}. */
    public static void main(String[] args) {
        try {
            Files.createDirectories(Path.of(args[0]));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        seeds().forEach((name, writer) -> writer.write(Path.of(args[0], name)));
    }

    @Test
    void theSeedsAreWhatTheWriterWrites() throws IOException {
        for (var seed : seeds().entrySet()) {
            try (InputStream stored = SafetensorsFuzzTest.class.getResourceAsStream("SafetensorsFuzzTestInputs/reads/" + seed.getKey())) {
                assertArrayEquals(seed.getValue().bytes(), Objects.requireNonNull(stored, seed.getKey()).readAllBytes(), seed.getKey());
            }
            // a seed that is refused would start nothing
            assertDoesNotThrow(() -> {
                SafetensorsPart part = SafetensorsPart.parse(FILE, MemorySegment.ofArray(seed.getValue().bytes()));
                try (Safetensors model = new Safetensors(FILE, CONFIG, new HashMap<>(), List.of(part), Arena.ofShared())) {
                    for (String name : model.names()) touch(model, name);
                }
            });
        }
    }

    private static void touch(Safetensors model, String name) {
        Tensor tensor;
        try {
            tensor = model.tensor(name);
        } catch (ModelFileException e) {
            TensorInfo info = model.tensors().get(name);
            if (info.format().isPresent() && info.bytes() > 0 && info.bytes() < Integer.MAX_VALUE)
                throw new AssertionError("a tensor that should be readable", e);
            return;
        }
        if (tensor.cols() <= WIDEST_ROW) tensor.row(tensor.rows() - 1);
    }
}
