package dev.lacuna.files;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lacuna.files.GgufWriter.Bytes;
import dev.lacuna.files.GgufWriter.Type;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class GgufTest {
    private static final float[] EIGHT = {1, 2, 3, 4, 5, 6, 7, 8};

    @TempDir
    Path folder;

    private static GgufWriter good() {
        return new GgufWriter().put("general.architecture", "llama").vector("v", 1, -2, 3).tensor("m", Format.F32, EIGHT, 4, 2);
    }

    @Test
    void everyValueTypeComesBackAsItsJavaType() {
        String text = "na\u00efve \ud83e\udd99 \ufffd";
        Path file = new GgufWriter().put("u8", Type.U8, 255).put("i8", Type.I8, -1).put("u16", Type.U16, 65535).put("i16", Type.I16, -2)
                .put("u32", Type.U32, 0xFFFFFFFF).put("i32", Type.I32, -3).put("f32", 0.5f).put("bool", true).put("string", text)
                .put("u64", Long.MAX_VALUE)
                .put("i64", Long.MIN_VALUE).put("f64", 0.1).put("au8", Type.U8, new int[]{0, 255}).put("ai8", Type.I8, new int[]{-128, 127})
                .put("au16", Type.U16, new int[]{65535}).put("ai16", Type.I16, new int[]{-32768})
                .put("au32", Type.U32, new long[]{0xFFFFFFFFL})
                .put("ai32", new int[]{-5, 5}).put("af32", new float[]{1.5f}).put("abool", new boolean[]{true, false})
                .put("astring", new String[]{"", text}).put("au64", Type.U64, new long[]{7}).put("ai64", new long[]{-7})
                .put("af64", new double[]{0.1})
                .put("empty", new String[0]).write(folder.resolve("values.gguf"));
        try (ModelFile model = ModelFile.open(file)) {
            Map<String, Object> values = model.metadata();
            assertEquals(List.of("u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "u64", "i64", "f64"),
                    values.keySet().stream().limit(12).toList());
            assertEquals(List.of(255L, -1L, 65535L, -2L, 0xFFFFFFFFL, -3L, 0.5, true, text, Long.MAX_VALUE, Long.MIN_VALUE, 0.1),
                    values.values().stream().limit(12).toList());
            Object[] arrays = {new int[]{0, 255}, new int[]{-128, 127}, new int[]{65535}, new int[]{-32768}, new long[]{0xFFFFFFFFL},
                    new int[]{-5, 5},
                    new float[]{1.5f}, new boolean[]{true, false}, new String[]{"", text}, new long[]{7}, new long[]{-7}, new double[]{0.1},
                    new String[0]};
            assertArrayEquals(arrays, values.values().stream().skip(12).toArray());
            assertThrows(UnsupportedOperationException.class, () -> values.put("new", 1L));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void tensorsAreSlicesOfTheFile(int version) {
        Path file = good().version(version).tensor("cube", Format.F16, new float[24], 4, 3, 2).write(folder.resolve("good.gguf"));
        try (ModelFile model = ModelFile.open(file)) {
            assertEquals(List.of("v", "m", "cube"), List.copyOf(model.names()));
            Tensor vector = model.tensor("v");
            assertEquals(1, vector.rows());
            assertArrayEquals(new float[]{1, -2, 3}, vector.toFloats());
            assertArrayEquals(new float[]{5, 6, 7, 8}, model.tensor("m").row(1));
            assertEquals(6, model.tensor("cube").rows());
            TensorInfo info = model.tensors().get("cube");
            assertArrayEquals(new long[]{4, 3, 2}, info.dims());
            assertEquals("F16", info.type());
            assertEquals(48, info.bytes());
            assertTrue(info.offset() > 0 && info.offset() % 32 == 0, "offset " + info.offset());
            assertTrue(model.tensor("m").data().isReadOnly());
            assertTrue(model.tensor("m").data().isMapped());
            assertTrue(model.find("w").isEmpty());
            String message = assertThrows(ModelFileException.class, () -> model.tensor("w")).getMessage();
            assertTrue(message.contains("good.gguf") && message.contains("\"w\""), message);
        }
    }

    @Test
    void everyFormatOfTheEngineIsRead() {
        Random random = new Random(17);
        GgufWriter writer = new GgufWriter();
        float[] values = new float[512];
        for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
        for (Format format : Format.GGUF) writer.tensor(format.name(), format, values, 256, 2);
        try (ModelFile model = ModelFile.open(writer.write(folder.resolve("formats.gguf")))) {
            for (Format format : Format.GGUF) {
                Tensor tensor = model.tensor(format.name());
                assertEquals(format, tensor.format());
                assertEquals(values[300], tensor.row(1)[44], 0.3f, format.name());
            }
        }
    }

    @Test
    void closingTwiceIsFineAndUseAfterwardsIsRefused() {
        ModelFile model = ModelFile.open(good().write(folder.resolve("closed.gguf")));
        Tensor tensor = model.tensor("m");
        assertArrayEquals(EIGHT, CompletableFuture.supplyAsync(tensor::toFloats).join(), "another thread may read");
        model.close();
        model.close();
        assertThrows(IllegalStateException.class, tensor::toFloats);
        assertThrows(IllegalStateException.class, () -> model.tensor("m").toFloats());
    }

    @Test
    void aPackingThatIsNotReadIsRefusedOnlyWhenAskedFor() {
        Path file = good().rawTensor("iq", 16, 64, 256).rawTensor("future", 999, 64, 256).write(folder.resolve("types.gguf"));
        try (ModelFile model = ModelFile.open(file)) {
            assertEquals("IQ2_XXS", model.tensors().get("iq").type());
            assertEquals(-1, model.tensors().get("future").bytes());
            for (String name : List.of("iq", "future")) {
                String message = assertThrows(ModelFileException.class, () -> model.tensor(name)).getMessage();
                assertTrue(message.contains(model.tensors().get(name).type()) && message.contains("Q4_K") && message.contains("types.gguf"),
                        message);
            }
        }
    }

    static Stream<Arguments> malformed() {
        byte[] loneByte = new Bytes().i64(1).toByteArray();
        byte[] badUtf8 = Arrays.copyOf(loneByte, 9);
        badUtf8[8] = (byte) 0xC3;
        byte[] surrogate = new Bytes().i64(3).toByteArray();
        surrogate = Arrays.copyOf(surrogate, 11);
        System.arraycopy(new byte[]{(byte) 0xED, (byte) 0xA0, (byte) 0x80}, 0, surrogate, 8, 3);
        byte[] nested = new Bytes().i32(9).i64(1).i32(4).i64(0).toByteArray();
        return Stream.of(//
                bad("wrong magic", good().magic(0x12345678), "header", "not a GGUF file"),
                bad("big-endian magic", good().magic(0x47475546), "header", "big-endian"),
                bad("big-endian version", good().version(3 << 24), "header", "big-endian"),
                bad("version 0", good().version(0), "header", "version 0"), //
                bad("version 1", good().version(1), "header", "version 1; 2 and 3"),
                bad("version 4", good().version(4), "header", "version 4"),
                bad("2^63 tensors", good().rawCounts(Long.MIN_VALUE, 1), "number of tensors", "9223372036854775808 is over"),
                bad("2^63 keys", good().rawCounts(2, Long.MIN_VALUE), "number of metadata keys", "is over 2^63-1"),
                bad("tensors over the limit", good().rawCounts(100_001, 1), "number of tensors", "more than the 100000"),
                bad("tensors over the file", good().rawCounts(100_000, 1), "number of tensors", "truncated"),
                bad("keys over the limit", good().rawCounts(2, 65_537), "number of metadata keys", "more than the 65536"),
                bad("keys over the file", good().rawCounts(2, 65_536), "number of metadata keys", "truncated"),
                bad("key too long", good().put("k".repeat(1025), 1), "metadata key 1", "1025 bytes; at most 1024"),
                bad("duplicate key", good().put("a", 1).put("a", 2), "\"a\"", "twice"),
                bad("unknown value type", good().rawValue("a", 13, new byte[8]), "\"a\"", "value type 13"),
                bad("negative value type", good().rawValue("a", -1, new byte[8]), "\"a\"", "value type 4294967295"),
                bad("unknown element type", good().rawValue("a", 9, new Bytes().i32(99).i64(1).toByteArray()), "\"a\"", "value type 99"),
                bad("array of arrays", good().rawValue("a", 9, nested), "\"a\"", "array of arrays"),
                bad("array over the file", good().rawValue("a", 9, new Bytes().i32(4).i64(1L << 30).toByteArray()), "\"a\"", "truncated"),
                bad("strings over the file", good().rawValue("a", 9, new Bytes().i32(8).i64(1L << 30).toByteArray()), "\"a\"", "truncated"),
                bad("array of 2^62", good().rawValue("a", 9, new Bytes().i32(0).i64(1L << 62).toByteArray()), "\"a\"", "truncated"),
                bad("array of 2^63", good().rawValue("a", 9, new Bytes().i32(0).i64(-1).toByteArray()), "\"a\"",
                        "18446744073709551615 is over"),
                bad("string of 2^63", good().rawValue("a", 8, new Bytes().i64(-1).toByteArray()), "\"a\"", "is over 2^63-1"),
                bad("string over the limit", good().rawValue("a", 8, new Bytes().i64((16 << 20) + 1).toByteArray()), "\"a\"",
                        "at most 16777216"),
                bad("string over the file", good().rawValue("a", 8, new Bytes().i64(4096).toByteArray()), "\"a\"", "truncated"),
                bad("u64 over 2^63-1", good().put("a", Type.U64, -1L), "\"a\"", "18446744073709551615 is over"),
                bad("u64 over 2^63-1 in an array", good().put("a", Type.U64, new long[]{-1}), "\"a\"", "is over 2^63-1"),
                bad("boolean 2", good().rawValue("a", 7, new byte[]{2}), "\"a\"", "0 or 1, not 2"),
                bad("bad UTF-8", good().rawValue("a", 8, badUtf8), "\"a\"", "not UTF-8"),
                bad("surrogate in UTF-8", good().rawValue("a", 8, surrogate), "\"a\"", "not UTF-8"),
                bad("alignment zero", good().put("general.alignment", 0), "general.alignment", "0 is not a power of two"),
                bad("alignment negative", good().put("general.alignment", -32), "general.alignment", "-32 is not a power of two"),
                bad("alignment 24", good().put("general.alignment", 24), "general.alignment", "24 is not a power of two"),
                bad("alignment 2^62", good().put("general.alignment", 1L << 62), "\"m\"", "not a multiple of the alignment"),
                bad("alignment no number", good().put("general.alignment", "32"), "general.alignment", "not an integer"),
                bad("name too long", good().rawTensor("n".repeat(1025), 0, 64, 1), "tensor 2", "1025 bytes; at most 1024"),
                bad("duplicate tensor", good().rawTensor("m", 0, 64, 1).rawData(new byte[4]), "\"m\"", "twice"),
                bad("no dimension", good().rawTensor("t", 0, 64), "\"t\"", "0 dimensions"),
                bad("five dimensions", good().rawTensor("t", 0, 64, 1, 1, 1, 1, 1), "\"t\"", "5 dimensions; 1 to 4"),
                bad("zero dimension", good().rawTensor("t", 0, 64, 4, 0), "\"t\"", "dimension 1 is zero"),
                bad("dimension 2^63", good().rawTensor("t", 0, 64, -1), "\"t\"", "is over 2^63-1"),
                bad("overflowing rows", good().rawTensor("t", 0, 64, 2, 1L << 32, 1L << 32), "\"t\"", "overflows"),
                bad("overflowing bytes", good().rawTensor("t", 0, 64, (1L << 31) - 1, (1L << 31) - 1), "\"t\"", "overflows"),
                bad("too many columns", good().rawTensor("t", 0, 64, 1L << 31), "\"t\"", "2147483648 columns"),
                bad("too many rows", good().rawTensor("t", 0, 64, 1, 1L << 16, 1L << 16), "\"t\"", "4294967296 rows"),
                bad("beyond the end", good().rawTensor("t", 0, 64, 1000), "\"t\"", "ends at byte"),
                bad("offset beyond the end", good().rawTensor("t", 0, 1 << 20, 1), "\"t\"", "ends at byte"),
                bad("offset beyond the end, type unknown", good().rawTensor("t", 99, 1 << 20, 1), "\"t\"", "ends at byte"),
                bad("offset overflows", good().rawTensor("t", 0, Long.MAX_VALUE & -32, 1), "\"t\"", "overflows"),
                bad("offset 2^63", good().rawTensor("t", 0, Long.MIN_VALUE, 1), "\"t\"", "is over 2^63-1"),
                bad("offset not aligned", good().rawTensor("t", 0, 8, 1), "\"t\"", "offset 8 is not a multiple"),
                bad("no whole number of blocks", good().rawTensor("t", 8, 64, 33).rawData(new byte[68]), "\"t\"",
                        "not a whole number of Q8_0"),
                bad("overlap", good().rawTensor("t", 0, 32, 1), "\"m\"", "overlaps", "\"t\""),
                bad("name with a line break", good().rawTensor("t\n", 0, 8, 1), "\"t?\"", "offset 8"));
    }

    private static Arguments bad(String what, GgufWriter writer, String... parts) {
        return Arguments.of(what, writer.bytes(), List.of(parts));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource
    void malformed(String what, byte[] bytes, List<String> parts) throws IOException {
        Path file = Files.write(folder.resolve("bad.gguf"), bytes);
        String message = assertThrows(ModelFileException.class, () -> ModelFile.open(file).close(), what).getMessage();
        assertTrue(message.contains("bad.gguf"), message);
        for (String part : parts) assertTrue(message.contains(part), message);
    }

    /** Wherever a file ends, the reader says so; only the padding behind the last tensor may be missing. */
    @Test
    void truncatedAnywhere() {
        byte[] bytes = good().put("tokens", new String[]{"a", "b"}).put("scores", new float[]{1, 2}).bytes();
        int needed = bytes.length;
        while (GgufPart.parse(folder, MemorySegment.ofArray(bytes)).entries().size() == 2 && readable(Arrays.copyOf(bytes, needed - 1)))
            needed--;
        assertEquals(bytes.length, needed, "the last tensor fills its alignment");
        for (int length = 0; length < needed; length++) assertFalse(readable(Arrays.copyOf(bytes, length)), "length " + length);
    }

    private boolean readable(byte[] bytes) {
        try {
            GgufPart.parse(folder, MemorySegment.ofArray(bytes));
            return true;
        } catch (ModelFileException e) {
            assertTrue(e.getMessage().contains("truncated"), e.getMessage());
            return false;
        }
    }

    @Test
    void filesThatAreNone() throws IOException {
        assertTrue(assertThrows(ModelFileException.class, () -> ModelFile.open(folder.resolve("none.gguf"))).getMessage()
                .contains("does not exist"));
        assertTrue(assertThrows(ModelFileException.class, () -> Gguf.open(folder)).getMessage().contains("not a regular file"));
        Path empty = Files.createFile(folder.resolve("empty.gguf"));
        assertTrue(assertThrows(ModelFileException.class, () -> ModelFile.open(empty)).getMessage().contains("truncated"));
        Path text = Files.writeString(folder.resolve("text.gguf"), "<html><body>not found", StandardCharsets.UTF_8);
        assertTrue(assertThrows(ModelFileException.class, () -> ModelFile.open(text)).getMessage().contains("not a GGUF file"));
    }

    private Path part(int number, int count, String tensor) {
        return new GgufWriter().put("split.no", Type.U16, number).put("split.count", Type.U16, count).put("split.tensors.count", 2)
                .vector(tensor, number, number).write(folder.resolve("big-%05d-of-%05d.gguf".formatted(number + 1, count)));
    }

    @Test
    void partsOfASplitModelAreOne() {
        Path first = part(0, 2, "a");
        Path second = part(1, 2, "b");
        try (ModelFile model = ModelFile.open(first)) {
            assertEquals(List.of("a", "b"), List.copyOf(model.names()));
            assertArrayEquals(new float[]{1, 1}, model.tensor("b").toFloats());
        }
        refused(second, "open the first, big-00001-of-00002.gguf");
        part(1, 2, "a");
        refused(first, "\"a\": is also in an earlier part");
        new GgufWriter().put("split.no", Type.U16, 1).put("split.count", Type.U16, 2).write(second);
        refused(first, "2 tensors announced, the parts hold 1");
        new GgufWriter().put("split.no", Type.U16, 0).put("split.count", Type.U16, 2).write(second);
        refused(first, "is not part 2 of 2");
        assertTrue(second.toFile().delete());
        refused(first, "big-00002-of-00002.gguf: file: does not exist");
        refused(good().put("split.count", 2).write(folder.resolve("renamed.gguf")), "-00001-of-00002.gguf");
        refused(good().put("split.count", 1025).write(folder.resolve("many.gguf")), "1025 parts; up to 1024");
    }

    private static void refused(Path file, String reason) {
        String message = assertThrows(ModelFileException.class, () -> ModelFile.open(file).close()).getMessage();
        assertTrue(message.contains(reason), message);
    }

    @Test
    void aRealModel() {
        Path root = Path.of("").toAbsolutePath();
        while (root != null && !Files.isDirectory(root.resolve(".mvn"))) root = root.getParent();
        assertTrue(root != null, "no folder .mvn above the test's");
        Path file = root.resolveSibling("shared/models/stories260K/stories260K-f32.gguf");
        assumeTrue(Files.exists(file), () -> file + " is absent");
        try (ModelFile model = ModelFile.open(file)) {
            assertEquals(22, model.metadata().size());
            assertEquals(47, model.names().size());
            assertEquals("llama", model.metadata().get("general.architecture"));
            assertEquals(172L, model.metadata().get("llama.feed_forward_length"));
            assertEquals(512, ((String[]) model.metadata().get("tokenizer.ggml.tokens")).length);
            Tensor embedding = model.tensor("token_embd.weight");
            assertEquals(512, embedding.rows());
            assertEquals(64, embedding.cols());
            assertEquals(14208, model.tensors().get("token_embd.weight").offset());
            assertEquals(145536, model.tensors().get("blk.0.attn_norm.weight").offset());
        }
    }
}
