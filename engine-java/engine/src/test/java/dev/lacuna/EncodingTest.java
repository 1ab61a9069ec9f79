package dev.lacuna;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.files.ModelFile;
import dev.lacuna.model.Decoder;
import dev.lacuna.model.ModelSpec;
import dev.lacuna.model.TinyLlama;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code --weights} does to which matrices, and how much memory it is said to take. */
class EncodingTest {
    @TempDir
    static Path folder;

    private static final int[] IDS = IntStream.range(0, 48).map(i -> 259 + i * 7 % 27).toArray();

    static Stream<Format> sparse() {
        return Format.ALL.stream().filter(Format::prunes);
    }

    static Stream<Format> formats() {
        return Stream.concat(Stream.of(Format.F16, Format.Q8_0, Format.Q4_1, Format.I8_ROW, Format.i4Group(64)), sparse());
    }

    /** Layers whose feed-forward width, 96, is no whole number of groups of 64, so that rows are padded. */
    private static TinyLlama ragged() {
        return new TinyLlama().layers(new int[]{4, 2}, new int[]{2, 1}, new int[]{96, 96});
    }

    private static OpsOptions reference() {
        return new OpsOptions(1, "reference", false);
    }

    /** Placed bytes are what was said before: exactly, or at most where rows differ in length. */
    @ParameterizedTest
    @MethodSource("formats")
    void theBytesThatArePlacedAreKnownBefore(Format to) {
        Options options = Options.DEFAULT.withWeights(to);
        long[] placed = new long[1];
        try (ModelFile file = ModelFile.open(ragged().write(folder, 5));
                CheckedOps ops = Backends.find().open(reference());
                Arena arena = Arena.ofConfined()) {
            ModelSpec spec = Decoder.spec(file);
            long known = Decoder.weightBytes(file, spec, options.tables(), options.weights());
            Decoder.place(file, spec, ops, 64, InputPolicy.F32, t -> counted(t, options.tables(), arena, placed),
                    t -> counted(t, options.weights(), arena, placed));
            if (!to.variable()) {
                assertEquals(placed[0], known);
            } else {
                assertTrue(known >= placed[0] && known <= 1.05 * placed[0], known + " for " + placed[0]);
            }
        }
    }

    private static Tensor counted(Tensor t, @Nullable Format to, Arena arena, long[] bytes) {
        boolean fits = to != null && (t.cols() % to.group() == 0 || to.pads());
        Tensor encoded = fits ? t.as(to, arena) : t;
        bytes[0] += encoded.data().byteSize();
        return encoded;
    }

    private static double perplexity(Path path, @Nullable Format to) {
        Options options = Options.DEFAULT.withKernels(reference()).withContext(64).withActivations(InputPolicy.F32).withWeights(to);
        try (Lacuna model = Lacuna.open(path, options)) {
            return model.evaluate(IDS, 24, 0, false, w -> {}).perplexity();
        }
    }

    /** How an output head comes. */
    enum Head {
        TIED, OWN;

        TinyLlama of(TinyLlama model) {
            return this == TIED ? model.tied() : model;
        }
    }

    /** Where the layers add nothing there are the embedding and the output head alone, which sparse formats leave as they are. */
    @ParameterizedTest
    @EnumSource(Head.class)
    void pruningLeavesEmbeddingAndOutputHeadAlone(Head head) {
        Path path = head.of(new TinyLlama().layers(new int[]{4}, new int[]{2}, new int[]{96}).silent(0)).write(folder, head.ordinal());
        double stored = perplexity(path, null);
        for (Format to : sparse().toList()) assertEquals(stored, perplexity(path, to), to.name());
        assertNotEquals(stored, perplexity(path, Format.Q4_0), "dense formats are for every matrix");
    }

    @ParameterizedTest
    @ValueSource(strings = {"I8_24", "I4_24_64", "I8_BITMASK", "I4_BITMASK_128"})
    void pruningReachesTheLayers(String format) {
        Path path = ragged().write(folder, 6);
        assertNotEquals(perplexity(path, null), perplexity(path, Format.named(format).orElseThrow()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"I8_BITMASK", "I4_BITMASK_64", "I4_BITMASK_128"})
    void whatDiffersInLengthIsBoundedForRandomShapes(String format) {
        Format to = Format.named(format).orElseThrow();
        long seed = 77;
        Random random = new Random(seed);
        for (int n : List.of(1, 7, 63, 64, 65, 172, 576, 1000)) {
            float[] values = new float[3 * n];
            for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
            Tensor floats = new Tensor("t", Format.F32, 3, n, MemorySegment.ofArray(values));
            long bytes = floats.as(to, Arena.ofAuto()).data().byteSize();
            assertTrue(floats.bytesAs(to) >= bytes, "seed " + seed + ", " + n + " columns: " + floats.bytesAs(to) + " for " + bytes);
        }
    }
}
