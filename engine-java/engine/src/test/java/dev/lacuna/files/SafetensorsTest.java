package dev.lacuna.files;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class SafetensorsTest {
    @TempDir
    Path folder;

    private void file(String name, String text) throws IOException {
        Files.writeString(folder.resolve(name), text);
    }

    private void weights(byte[] bytes) throws IOException {
        if (!Files.exists(folder.resolve("config.json"))) file("config.json", "{}");
        Files.write(folder.resolve("model.safetensors"), bytes);
    }

    private String refused() {
        return assertThrows(ModelFileException.class, () -> ModelFile.open(folder).close()).getMessage();
    }

    @Test
    void tensorsAreSlicesOfTheFile() throws IOException {
        float[] values = {1, -2, 0.5f, 0, 3, 4};
        weights(new SafetensorsWriter().tensor("matrix", Format.F32, values, 2, 3).tensor("half", Format.F16, values, 6)
                .tensor("brain", Format.BF16, values, 1, 2, 3).tensor("scalar", Format.F32, new float[]{7})
                .tensor("wide", "F64", new byte[8], 1)
                .tensor("empty", Format.F32, new float[0], 0, 4).bytes());
        try (ModelFile file = ModelFile.open(folder)) {
            assertEquals(List.of("matrix", "half", "brain", "scalar", "wide", "empty"), List.copyOf(file.names()));
            Tensor matrix = file.tensor("matrix");
            assertEquals(2, matrix.rows());
            assertEquals(3, matrix.cols());
            assertTrue(matrix.data().isMapped());
            for (String name : List.of("matrix", "half", "brain")) assertArrayEquals(values, file.tensor(name).toFloats(), name);
            assertArrayEquals(new float[]{7}, file.tensor("scalar").toFloats());
            String wide = assertThrows(ModelFileException.class, () -> file.tensor("wide")).getMessage();
            assertTrue(wide.contains("\"wide\"") && wide.contains("F64") && wide.contains("[F32, F16, BF16]"), wide);
            assertThrows(ModelFileException.class, () -> file.tensor("empty"));
        }
    }

    static Stream<Arguments> bad() {
        String tensor = "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}";
        return Stream.of(Arguments.of("not an object", "[]", "does not begin with {"),
                Arguments.of("cut off", "{\"a\":" + tensor, "malformed"),
                Arguments.of("text behind", "{\"a\":" + tensor + "} x", "malformed"),
                Arguments.of("object behind", "{\"a\":" + tensor + "}{}", "goes on"),
                Arguments.of("twice", "{\"a\":" + tensor + ",\"a\":" + tensor + "}", "uplicate"),
                Arguments.of("twice by escapes", "{\"a\":" + tensor + ",\"\\u0061\":" + tensor + "}", "uplicate"),
                Arguments.of("hole", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "hole"),
                Arguments.of("overlap", "{\"a\":" + tensor + ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
                        "overlaps"),
                Arguments.of("short of the end", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "its tensors end"),
                Arguments.of("past the end", "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", "truncated"),
                Arguments.of("shape against offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "takes 12 bytes"),
                Arguments.of("backwards", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "takes 8 bytes"),
                Arguments.of("overflow",
                        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}}", "overflows"),
                Arguments.of("overflowing offsets",
                        "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[9223372036854775807,9223372036854775807]}}", "overflows"),
                Arguments.of("negative", "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "negative"),
                Arguments.of("fraction", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", "whole number"),
                Arguments.of("over 63 bits", "{\"a\":{\"dtype\":\"F32\",\"shape\":[18446744073709551616],\"data_offsets\":[0,8]}}",
                        "malformed"),
                Arguments.of("many dimensions", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}",
                        "more than 8"),
                Arguments.of("type", "{\"a\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,8]}}", "\"F4\""),
                Arguments.of("field", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", "unknown"),
                Arguments.of("no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "needs"),
                Arguments.of("metadata", "{\"__metadata__\":{\"a\":1},\"a\":" + tensor + "}", "not a string"),
                Arguments.of("deep", "{\"a\":" + "[".repeat(100_000) + "}", "is not an object"),
                Arguments.of("long name", "{\"" + "n".repeat(2000) + "\":" + tensor + "}", "2000 characters"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("bad")
    void malformedHeadersAreRefused(String what, String header, String reason) throws IOException {
        weights(SafetensorsWriter.bytes(header, new byte[8]));
        String message = refused();
        assertTrue(message.contains("model.safetensors") && message.contains(reason), message);
    }

    @ParameterizedTest
    @CsvSource({"-1,over 2^63-1", "100000001,at most 100000000", "99999999,truncated", "0,does not begin"})
    void headersThatDoNotFitAreRefused(long length, String reason) throws IOException {
        weights(ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).putLong(length).array());
        assertTrue(refused().contains(reason), refused());
    }

    private void shards(String... map) throws IOException {
        file("config.json", "{}");
        file("model.safetensors.index.json", "{\"metadata\":{},\"weight_map\":{" + String.join(",", map) + "}}");
    }

    @Test
    void shardsAreOneModel() throws IOException {
        shards("\"a\":\"model-00001-of-00002.safetensors\"", "\"b\":\"model-00002-of-00002.safetensors\"");
        new SafetensorsWriter().tensor("a", Format.F32, new float[]{1}, 1).write(folder.resolve("model-00001-of-00002.safetensors"));
        new SafetensorsWriter().tensor("b", Format.F32, new float[]{2}, 1).write(folder.resolve("model-00002-of-00002.safetensors"));
        try (ModelFile file = ModelFile.open(folder)) {
            assertArrayEquals(new float[]{1}, file.tensor("a").toFloats());
            assertArrayEquals(new float[]{2}, file.tensor("b").toFloats());
        }
        new SafetensorsWriter().tensor("a", Format.F32, new float[]{2}, 1).write(folder.resolve("model-00002-of-00002.safetensors"));
        assertTrue(refused().contains("also in an earlier shard"), refused());
    }

    @ParameterizedTest
    @ValueSource(strings = {"../out.safetensors", "sub/out.safetensors", "/etc/passwd", "..", "out.bin", "sub\\\\out.safetensors",
            ".safetensors",
            "absent.safetensors"})
    void shardsOutsideTheFolderAreRefused(String name) throws IOException {
        Path inner = Files.createDirectory(folder.resolve("inner"));
        Files.createDirectory(inner.resolve("sub"));
        new SafetensorsWriter().tensor("a", Format.F32, new float[]{1}, 1).write(folder.resolve("out.safetensors"));
        new SafetensorsWriter().tensor("a", Format.F32, new float[]{1}, 1).write(inner.resolve("sub/out.safetensors"));
        Files.writeString(inner.resolve("config.json"), "{}");
        Files.writeString(inner.resolve("model.safetensors.index.json"), "{\"weight_map\":{\"a\":\"" + name + "\"}}");
        assertThrows(ModelFileException.class, () -> ModelFile.open(inner).close());
    }

    @Test
    void linksOutOfTheFolderAreRefusedButTheHubsCacheIsRead() throws IOException {
        Path blobs = Files.createDirectories(folder.resolve("models--a/blobs"));
        Path snapshot = Files.createDirectories(folder.resolve("models--a/snapshots/123"));
        Path blob = new SafetensorsWriter().tensor("a", Format.F32, new float[]{1}, 1).write(blobs.resolve("0123abcd"));
        Files.writeString(snapshot.resolve("config.json"), "{}");
        Path link = Files.createSymbolicLink(snapshot.resolve("model.safetensors"), Path.of("../../blobs/0123abcd"));
        try (ModelFile file = ModelFile.open(snapshot)) {
            assertEquals(List.of("a"), List.copyOf(file.names()));
        }
        Files.delete(link);
        Files.createSymbolicLink(link, Files.copy(blob, folder.resolve("elsewhere")));
        String message = assertThrows(ModelFileException.class, () -> ModelFile.open(snapshot).close()).getMessage();
        assertTrue(message.contains("link out of the folder"), message);
    }

    @Test
    void configurationsAreFlat() throws IOException {
        file("config.json", """
                {"model_type": "x", "n": 3, "f": 0.5, "yes": true, "nothing": null, "list": [1, 2], "mixed": [1, 0.5], "names": ["a", "b"],
                 "odd": [1, "a"], "inner": {"a": {"b": 1}}}""");
        file("generation_config.json", "{\"eos_token_id\": [1, 2]}");
        weights(new SafetensorsWriter().bytes());
        try (ModelFile file = ModelFile.open(folder)) {
            Map<String, Object> keys = file.metadata();
            assertEquals(3L, keys.get("n"));
            assertEquals(0.5, keys.get("f"));
            assertEquals(true, keys.get("yes"));
            assertEquals(1L, keys.get("inner.a.b"));
            assertArrayEquals(new long[]{1, 2}, (long[]) keys.get("list"));
            assertArrayEquals(new double[]{1, 0.5}, (double[]) keys.get("mixed"));
            assertArrayEquals(new String[]{"a", "b"}, (String[]) keys.get("names"));
            assertArrayEquals(new long[]{1, 2}, (long[]) keys.get("generation_config.eos_token_id"));
            assertTrue(!keys.containsKey("nothing") && !keys.containsKey("odd"));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"a\":1,\"a\":2}", "{\"a.b\":1,\"a\":{\"b\":2}}", "[]", "{", "{} {}",
            "{\"a\":123456789012345678901234567890}",
            "{\"a\":NaN}"})
    void malformedConfigurationsAreRefused(String config) throws IOException {
        file("config.json", config);
        weights(new SafetensorsWriter().bytes());
        assertTrue(refused().contains("config.json"), refused());
    }

    @Test
    void largeOrDeepConfigurationsAreRefused() throws IOException {
        file("config.json", "{\"a\":" + "[".repeat(100) + "]".repeat(100) + "}");
        weights(new SafetensorsWriter().bytes());
        assertTrue(refused().contains("malformed"), refused());
        file("config.json", "{\"a\":\"" + "x".repeat(5 << 20) + "\"}");
        assertTrue(refused().contains("over the"), refused());
    }

    @Test
    void foldersWithoutSafetensorsSayWhatToDo() throws IOException {
        assertTrue(refused().contains("no config.json"), refused());
        file("config.json", "{}");
        assertTrue(refused().contains("neither model.safetensors"), refused());
        file("pytorch_model.bin", "");
        assertTrue(refused().contains("pytorch_model.bin") && refused().contains("convert"), refused());
    }

    @Test
    void chatTemplatesAreFoundWhereTheyAre() throws IOException {
        weights(new SafetensorsWriter().bytes());
        try (Safetensors file = Safetensors.open(folder)) {
            assertTrue(file.chatTemplate().isEmpty());
            file("tokenizer_config.json", "{\"chat_template\":\"one\"}");
            assertEquals("one", file.chatTemplate().orElseThrow());
            file("tokenizer_config.json",
                    "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"r\"},{\"name\":\"default\",\"template\":\"two\"}]}");
            assertEquals("two", file.chatTemplate().orElseThrow());
            file("chat_template.json", "{\"chat_template\":\"three\"}");
            assertEquals("three", file.chatTemplate().orElseThrow());
            file("chat_template.jinja", "four \u00e9");
            assertEquals("four \u00e9", file.chatTemplate().orElseThrow());
            assertEquals("three", file.json("chat_template.json").orElseThrow().path("chat_template").stringValue());
        }
    }

    // ---- compressed-tensors

    private static String quantization(String weights) {
        return "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\",\"ignore\":[\"lm_head\"],"
                + "\"config_groups\":{\"group_0\":{\"targets\":[\"Linear\"],\"weights\":" + weights + "}}}}";
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"{\"quantization_config\":{\"quant_method\":\"gptq\"}}|gptq",
            "{\"quantization_config\":{\"quant_method\":\"awq\"}}|awq",
            "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\"}}|float-quantized",
            "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"quantization_status\":\"frozen\"}}|frozen",
            "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"}}}|sparse-24-bitmask"})
    void otherQuantizationsAreRefused(String config, String named) throws IOException {
        file("config.json", config);
        weights(new SafetensorsWriter().bytes());
        assertTrue(refused().contains("\"" + named + "\" is not supported") && refused().contains("config.json"), refused());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"{\"num_bits\":3,\"strategy\":\"channel\"}|3 bits",
            "{\"num_bits\":8,\"type\":\"float\"}|\"float\"",
            "{\"num_bits\":4,\"strategy\":\"group\",\"group_size\":16}|16 is not supported",
            "{\"num_bits\":4,\"strategy\":\"block\"}|\"block\"",
            "{\"num_bits\":4,\"strategy\":\"group\",\"group_size\":32,\"actorder\":\"group\"}|g_idx"})
    void otherSchemesAreRefused(String weights, String reason) throws IOException {
        file("config.json", quantization(weights));
        weights(new SafetensorsWriter().bytes());
        assertTrue(refused().contains(reason), refused());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"m.weight_g_idx|I32|4|1|g_idx", "m.weight|I8|32|32|not a matrix",
            "m.weight_scale|F32|4|1|not compressed"})
    void partsThatFitNothingAreRefused(String name, String type, int bytes, long size, String reason) throws IOException {
        file("config.json", quantization("{\"num_bits\":8,\"strategy\":\"channel\"}"));
        weights(new SafetensorsWriter().tensor(name, type, new byte[bytes], size).bytes());
        assertTrue(refused().contains(reason), refused());
    }

    @Test
    void integersNeedAFittingScheme() throws IOException {
        file("config.json", quantization("{\"num_bits\":8,\"strategy\":\"channel\"}"));
        weights(new SafetensorsWriter().tensor("m.weight", "I8", new byte[64], 2, 32).bytes());
        assertTrue(refused().contains("no weight_scale"), refused());
        weights(new SafetensorsWriter().tensor("m.weight", "I8", new byte[64], 2, 32).tensor("m.weight_scale", Format.F32, new float[3], 3)
                .bytes());
        assertTrue(refused().contains("does not fit its scheme") && refused().contains("8 bits, a scale for a row, symmetric"), refused());
        file("config.json", "{}");
        try (ModelFile file = ModelFile.open(folder)) {
            assertThrows(ModelFileException.class, () -> file.tensor("m.weight"));
        }
    }

    /** Two ways to pack, and what of them holds for a matrix of 8 bits, a scale for a row: by name, expression, class; or what is wrong with it. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
            // name of the module | targets of 8 bits | of 4 bits | ignored | null where it is read
            "m.q|'Linear'||'lm_head'|", "m.q|'re:m'||'re:q'|", "m.q|'m.q'|'re:m.q','Linear'||", "m.q|'re:.*q$'|'Linear'||",
            "m.q|'re:.*q'|'re:m'||", "wte|'Embedding'|'Linear'||", "m.embed_tokens|'Module'|'Linear'|'Linear'|",
            "m.q|'Linear'|'re:m'||does not fit its scheme in config.json: 4 bits",
            "m.q|'re:m'|'m.q'||does not fit its scheme in config.json: 4 bits",
            "m.q|'re:m'|'re:.*q'||does not fit its scheme in config.json: 4 bits", "m.q|'Embedding','re:q','m'|||no target",
            "m.q|'Linear'||'m.q'|ignore says with \"m.q\"", "m.q|'m.q'||'re:.*q'|ignore says with \"re:.*q\"",
            "m.q|'m.q'||'Linear'|ignore says with \"Linear\"", "wte|'wte'||'Embedding'|ignore says with \"Embedding\"",
            "m.q|'re:('|||is not a regular expression", "m.q|3|||is not a list of strings",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|'re:.*.*.*.*.*.*.*.*.*.*b'|||take too long",
            "m.q|'Linear'||'re:%s'|more than 1000 characters"})
    void targetsAreMatchedAsByThePackage(String module, String eight, @Nullable String four, @Nullable String ignore,
            @Nullable String wrong)
            throws IOException {
        String config = """
                {"quantization_config":{"quant_method":"compressed-tensors","format":"int-quantized","ignore":[%s],"config_groups":{
                "a":{"targets":[%s],"weights":{"num_bits":8,"strategy":"channel"}},
                "b":{"targets":[%s],"weights":{"num_bits":4,"strategy":"group","group_size":32}}}}}""";
        file("config.json", config.formatted(ignore == null ? "" : ignore.formatted("x".repeat(1000)), eight, four == null ? "" : four)
                .replace('\'', '"'));
        weights(new SafetensorsWriter().tensor(module + ".weight", "I8", new byte[64], 2, 32)
                .tensor(module + ".weight_scale", Format.F32, new float[]{2, 3}, 2).bytes());
        if (wrong != null) {
            assertTrue(refused().contains(wrong), refused());
            return;
        }
        try (ModelFile file = ModelFile.open(folder)) {
            assertEquals(Format.I8_ROW, file.tensor(module + ".weight").format());
        }
    }

    /** The packing by hand: two rows of 64 in groups of 32 with packed zero points, against what their definition says. */
    @ParameterizedTest
    @CsvSource({"4,32,false", "4,32,true", "4,64,false", "8,32,false", "8,0,false", "4,0,false", "8,0,true", "4,0,true", "8,64,true"})
    void packedIntegersAreWhatTheyMean(int bits, int group, boolean symmetric) throws IOException {
        int rows = 10, cols = 64, groups = group == 0 ? 1 : cols / group;
        int offset = 1 << (bits - 1);
        var random = new java.util.SplittableRandom(5);
        int[][] q = new int[rows][cols];
        int[][] zero = new int[rows][groups];
        float[] scale = new float[rows * groups];
        byte[] packed = new byte[rows * cols * bits / 8];
        byte[] zeros = new byte[(rows * bits + 31) / 32 * groups * 4];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                q[r][c] = random.nextInt(-offset, offset);
                int bit = (r * cols + c) * bits;
                packed[bit / 8] |= (byte) (q[r][c] + offset << bit % 8);
            }
            for (int g = 0; g < groups; g++) {
                scale[r * groups + g] = (float) random.nextDouble(0.01, 0.1);
                zero[r][g] = symmetric ? 0 : random.nextInt(-offset, offset);
                // words of a column: r / (32 / bits) is the word's row
                int bit = r % (32 / bits) * bits;
                zeros[(r / (32 / bits) * groups + g) * 4 + bit / 8] |= (byte) (zero[r][g] + offset << bit % 8);
            }
        }
        file("config.json", quantization("{\"num_bits\":%d,\"strategy\":\"%s\",\"group_size\":%s,\"symmetric\":%s}".formatted(bits,
                group == 0 ? "channel" : "group", group == 0 ? "null" : group, symmetric)));
        byte[] shape = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).putLong(rows).putLong(cols).array();
        SafetensorsWriter writer = new SafetensorsWriter().tensor("m.weight_packed", "I32", packed, rows, cols * bits / 32)
                .tensor("m.weight_scale", Format.F32, scale, rows, groups).tensor("m.weight_shape", "I64", shape, 2);
        if (!symmetric) writer.tensor("m.weight_zero_point", "I32", zeros, (rows * bits + 31) / 32, groups);
        weights(writer.bytes());
        try (ModelFile file = ModelFile.open(folder)) {
            assertEquals(List.of("m.weight"), List.copyOf(file.names()));
            Tensor m = file.tensor("m.weight");
            assertEquals(rows, m.rows());
            assertEquals(bits, m.format().bits());
            float[] back = m.toFloats();
            for (int r = 0; r < rows; r++) {
                for (int c = 0; c < cols; c++) {
                    int g = group == 0 ? 0 : c / group;
                    assertEquals(scale[r * groups + g] * (q[r][c] - zero[r][g]), back[r * cols + c], r + ", " + c);
                }
            }
        }
    }

    @Test
    void namesAreUtf8() throws IOException {
        byte[] bytes = new SafetensorsWriter().tensor("n\u00e4me", Format.F32, new float[]{1}, 1).bytes();
        weights(bytes);
        try (ModelFile file = ModelFile.open(folder)) {
            assertEquals(List.of("n\u00e4me"), List.copyOf(file.names()));
        }
        bytes[new String(bytes, StandardCharsets.ISO_8859_1).indexOf("\u00c3")] = (byte) 0xFF;
        weights(bytes);
        assertTrue(refused().contains("malformed"), refused());
    }
}
