package dev.lacuna.text;

import java.util.List;

/** How the byte-level models of GGUF files cut text into words, by the names that {@code tokenizer.ggml.pre} has. */
enum PreTokenizer {
    GPT2, SMOLLM, LLAMA3, QWEN2, QWEN35, GPT4O, TEKKEN, DEEPSEEK3;

    private static final List<String> SUPPORTED = List.of("gpt-2", "gpt2", "default", "phi-2", "mpt", "olmo", "smollm", "starcoder",
            "refact", "command-r", "llama-bpe", "llama3", "llama-v3", "dbrx", "smaug-bpe", "falcon3", "lfm2", "qwen2", "stablelm2",
            "deepseek-r1-qwen", "qwen35", "gpt-4o", "llama4", "tekken", "deepseek-v3");

    /** The steps that cut, in order. */
    List<Words> scanners() {
        return switch (this) {
            case GPT2 -> List.of(Words.GPT2);
            case SMOLLM -> List.of(Words.GPT2_DIGITS);
            case LLAMA3 -> List.of(Words.LLAMA3);
            case QWEN2 -> List.of(Words.QWEN2);
            case QWEN35 -> List.of(Words.QWEN35);
            case GPT4O -> List.of(Words.O200K);
            case TEKKEN -> List.of(Words.TEKKEN);
            case DEEPSEEK3 -> List.of(Words.THREE_DIGITS, Words.CJK, Words.DEEPSEEK3);
        };
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
