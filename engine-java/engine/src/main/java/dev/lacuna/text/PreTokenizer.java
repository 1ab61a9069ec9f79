package dev.lacuna.text;

import java.util.List;

/** How the byte-level models of GGUF files cut text into words, by the names that {@code tokenizer.ggml.pre} has. */
enum PreTokenizer {
    GPT2(Words.GPT2), SMOLLM(Words.GPT2_DIGITS), LLAMA3(Words.LLAMA3), QWEN2(Words.QWEN2), QWEN35(Words.QWEN35), GPT4O(Words.O200K), TEKKEN(
            Words.TEKKEN), DEEPSEEK3(Words.THREE_DIGITS, Words.CJK, Words.DEEPSEEK3);

    private static final List<String> SUPPORTED = List.of("gpt-2", "gpt2", "default", "phi-2", "mpt", "olmo", "smollm", "starcoder",
            "refact", "command-r", "llama-bpe", "llama3", "llama-v3", "dbrx", "smaug-bpe", "falcon3", "lfm2", "qwen2", "stablelm2",
            "deepseek-r1-qwen", "qwen35", "gpt-4o", "llama4", "tekken", "deepseek-v3");

    private final List<Words> scanners;

    PreTokenizer(Words... scanners) {
        this.scanners = List.of(scanners);
    }

    List<Words> scanners() {
        return scanners;
    }

    /** Whether a word that is a token is taken as it is. */
    boolean wholeWords() {
        return this == LLAMA3 || this == GPT4O || this == TEKKEN;
    }

    static PreTokenizer of(String key, String name) {
        return switch (name) {
            case "gpt-2", "gpt2", "default", "phi-2", "mpt", "olmo" -> GPT2;
            case "smollm", "starcoder", "refact", "command-r" -> SMOLLM;
            case "llama-bpe", "llama3", "llama-v3", "dbrx", "smaug-bpe", "falcon3", "lfm2" -> LLAMA3;
            case "qwen2", "stablelm2", "deepseek-r1-qwen" -> QWEN2;
            case "qwen35" -> QWEN35;
            case "gpt-4o", "llama4" -> GPT4O;
            case "tekken" -> TEKKEN;
            case "deepseek-v3" -> DEEPSEEK3;
            default -> throw new UnsupportedTokenizerException(key, name, SUPPORTED);
        };
    }
}
