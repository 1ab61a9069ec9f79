package dev.lacuna.files;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;

import com.code_intelligence.jazzer.junit.FuzzTest;
import com.sun.management.ThreadMXBean;
import dev.lacuna.files.GgufWriter.Type;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;

/** Whatever the bytes are, the reader either reads them or says what is wrong. */
class GgufFuzzTest {
    private static final Path FILE = Path.of("fuzz.gguf");
    private static final int WIDEST_ROW = 1 << 16;
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    static {
        // what is allocated once, by loading classes, is not the input's doing
        seeds().values().forEach(seed -> GgufPart.parse(FILE, MemorySegment.ofArray(seed.bytes())));
    }

    @FuzzTest(maxDuration = "20s")
    void reads(byte[] data) {
        try (Gguf model = new Gguf(FILE, List.of(parse(data)), Arena.ofConfined())) {
            for (String name : model.names()) touch(model, name);
        } catch (ModelFileException e) {
            if (!e.getMessage().startsWith(FILE + ": "))
                throw new AssertionError("a message that does not name the file: " + e.getMessage(), e);
        }
    }

    /** Parses, and allocates no more than four times the input and a mebibyte on the way, whether it succeeds or not. */
    private static GgufPart parse(byte[] data) {
        long before = THREADS.getCurrentThreadAllocatedBytes();
        try {
            return GgufPart.parse(FILE, MemorySegment.ofArray(data));
        } finally {
            long allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
            if (allocated > 4L * data.length + (1 << 20)) tooMuch(allocated, data.length);
        }
    }

    private static void tooMuch(long allocated, int length) {
        throw new AssertionError(allocated + " bytes allocated for a file of " + length);
    }

    /** What the fuzzer starts from. */
    private static Map<String, GgufWriter> seeds() {
        GgufWriter values = new GgufWriter().put("u8", Type.U8, 255).put("i8", Type.I8, -1).put("u16", Type.U16, 65535)
                .put("i16", Type.I16, -2)
                .put("u32", 7).put("i32", -3).put("f32", 0.5f).put("bool", true).put("string", "na\u00efve").put("u64", 8L).put("i64", -8L)
                .put("f64", 0.1).put("ints", new int[]{-5, 5}).put("bytes", new byte[]{1, 2}).put("floats", new float[]{1.5f})
                .put("flags", new boolean[]{true, false}).put("strings", new String[]{"", "a"}).put("longs", new long[]{7})
                .put("doubles", new double[]{0.1});
        GgufWriter formats = new GgufWriter();
        for (Format format : Format.GGUF) formats.tensor(format.name(), format, new float[2 * format.group()], format.group(), 2);
        GgufWriter odd = new GgufWriter().version(2).alignment(64).put("split.count", 1).tensor("cube", Format.F16, new float[8], 2, 2, 2)
                .rawTensor("iq", 16, 64, 256).vector("v", 1, 2, 3);
        return Map.of("values", values, "formats", formats, "odd", odd);
    }

    /** Writes the seeds anew: {@code main(src/test/resources/dev/lacuna/files/GgufFuzzTestInputs/reads)}. */
    public static void main(String[] args) {
        seeds().forEach((name, writer) -> writer.write(Path.of(args[0], name)));
    }

    @Test
    void theSeedsAreWhatTheWriterWrites() throws IOException {
        for (var seed : seeds().entrySet()) {
            try (InputStream stored = GgufFuzzTest.class.getResourceAsStream("GgufFuzzTestInputs/reads/" + seed.getKey())) {
                assertArrayEquals(seed.getValue().bytes(), Objects.requireNonNull(stored, seed.getKey()).readAllBytes(), seed.getKey());
            }
            // a seed that is refused would start nothing
            assertDoesNotThrow(() -> GgufPart.parse(FILE, MemorySegment.ofArray(seed.getValue().bytes())));
        }
    }

    private static void touch(Gguf model, String name) {
        Tensor tensor;
        try {
            tensor = model.tensor(name);
        } catch (ModelFileException e) {
            if (model.tensors().get(name).format().isPresent()) throw new AssertionError("a tensor that should be readable", e);
            return;
        }
        if (tensor.cols() <= WIDEST_ROW) tensor.row(tensor.rows() - 1);
    }
}
