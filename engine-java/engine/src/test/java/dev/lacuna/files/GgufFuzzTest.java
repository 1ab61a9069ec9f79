package dev.lacuna.files;

import com.code_intelligence.jazzer.junit.FuzzTest;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;

/** Whatever the bytes are, the reader either reads them or says what is wrong. */
class GgufFuzzTest {
    private static final Path FILE = Path.of("fuzz.gguf");
    private static final int WIDEST_ROW = 1 << 16;

    @FuzzTest(maxDuration = "20s")
    void reads(byte[] data) {
        try (Gguf model = new Gguf(FILE, List.of(GgufPart.parse(FILE, MemorySegment.ofArray(data))), Arena.ofConfined())) {
            for (String name : model.names()) touch(model, name);
        } catch (ModelFileException e) {
            if (!e.getMessage().startsWith(FILE + ": ")) throw new AssertionError("a message that does not name the file: " + e.getMessage(), e);
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
