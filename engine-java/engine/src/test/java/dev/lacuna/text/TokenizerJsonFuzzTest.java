package dev.lacuna.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;

import com.code_intelligence.jazzer.junit.FuzzTest;
import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** Whatever tokenizer.json holds, it is read or refused with its reason, and what was read encodes and decodes any text. */
class TokenizerJsonFuzzTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String TEXT = "The  engine's <s> caf\u00e9 e\u0301 \u6f22 \uD83D\uDE42 123\n\n\t<mask> x\uD800";
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    static {
        // what is allocated once, by loading classes, is not the input's doing
        seeds().values().forEach(TokenizerJsonFuzzTest::use);
    }

    @FuzzTest(maxDuration = "20s")
    void reads(byte[] data) {
        JsonNode file;
        try {
            file = JSON.readTree(data);
        } catch (JacksonException notJson) {
            return;
        }
        long before = THREADS.getCurrentThreadAllocatedBytes();
        try {
            use(file);
        } catch (MalformedTokenizerException | UnsupportedTokenizerException refused) {
            Objects.requireNonNull(refused.getMessage());
        }
        long allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
        if (allocated > 1024L * data.length + (8 << 20)) {
            throw new AssertionError(allocated + " bytes allocated for a file of " + data.length);
        }
    }

    private static void use(JsonNode file) {
        Tokenizer tokenizer = Tokenizer.fromJson(file, file);
        int[] ids = tokenizer.encode(TEXT, true);
        tokenizer.decode(ids);
        tokenizer.encode(TEXT, false);
        for (int id : ids) {
            tokenizer.piece(id);
        }
    }

    /** What the fuzzer starts from: the kinds of files with as few tokens as will do. */
    private static Map<String, JsonNode> seeds() {
        String bytes = """
                {"added_tokens":[{"id":4,"content":"<s>","special":true,"normalized":false,"lstrip":true},{"id":5,"content":"x","rstrip":true,
                "single_word":true,"normalized":true}],"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"},
                {"type":"Strip"}]},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},
                {"type":"ByteLevel","add_prefix_space":true}]},"decoder":{"type":"ByteLevel"},"post_processor":{"type":"TemplateProcessing",
                "single":[{"SpecialToken":{"id":"<s>"}}]},"model":{"type":"BPE","ignore_merges":true,"vocab":{"t":0,"h":1,"th":2,"e":3},
                "merges":["t h"]}}""";
        String pieces = """
                {"bos_token":{"content":"<s>"},"added_tokens":[{"id":0,"content":"<s>","special":true}],"normalizer":{"type":"Sequence",
                "normalizers":[{"type":"Prepend","prepend":"\u2581"},{"type":"Replace","pattern":{"String":" "},"content":"\u2581"}]},
                "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},
                {"type":"Fuse"},{"type":"Strip","content":" ","start":1}]},"model":{"type":"BPE","unk_token":"<u>","fuse_unk":true,
                "byte_fallback":true,"vocab":{"<s>":0,"<u>":1,"<0x0A>":2,"\u2581":3,"e":4,"\u2581e":5},"merges":[["\u2581","e"]]}}""";
        String unigram = """
                {"normalizer":{"type":"Precompiled","precompiled_charsmap":"EAAAAAABAAAAAAAAAAAAAAAAAABhYgAA"},"pre_tokenizer":{"type":"Sequence",
                "pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Punctuation"},{"type":"Metaspace","replacement":"\u2581",
                "prepend_scheme":"first","split":true}]},"decoder":{"type":"Metaspace"},
                "model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["\u2581",-1.5],["en",-2],["gine",-3]]}}""";
        String split = """
                {"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\\\p{N}{1,3}"},"behavior":"Isolated"},
                {"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""";
        Map<String, JsonNode> seeds = new TreeMap<>();
        Map.of("bytes", bytes, "pieces", pieces, "unigram", unigram, "split", split)
                .forEach((name, text) -> seeds.put(name, JSON.readTree(text)));
        return seeds;
    }

    /** Writes the seeds anew: {@code main(src/test/resources/dev/lacuna/text/TokenizerJsonFuzzTestInputs/reads)}. */
    public static void main(String[] args) throws IOException {
        for (var seed : seeds().entrySet()) {
            Files.writeString(Path.of(args[0], seed.getKey()), seed.getValue().toString());
        }
    }

    @Test
    void theSeedsAreReadable() throws IOException {
        for (var seed : seeds().entrySet()) {
            try (InputStream stored = TokenizerJsonFuzzTest.class
                    .getResourceAsStream("TokenizerJsonFuzzTestInputs/reads/" + seed.getKey())) {
                assertArrayEquals(seed.getValue().toString().getBytes(StandardCharsets.UTF_8),
                        Objects.requireNonNull(stored, seed.getKey()).readAllBytes(), seed.getKey());
            }
            assertDoesNotThrow(() -> use(seed.getValue()));
        }
    }
}
