package dev.lacuna.text;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Turns text into token ids and back. Immutable and safe for any number of threads. */
public interface Tokenizer {
    /**
     * The ids of a text; no beginning-of-sequence token is added.
     *
     * <p>User-defined tokens are always recognised in the text. Unpaired surrogates are read as U+FFFD. A byte for which the vocabulary has
     * neither a token nor a fallback is left out, as the reference implementations do.
     *
     * @param parseSpecial whether the text of control tokens (such as {@code <|im_end|>}) becomes their ids. Pass false for text from users.
     */
    int[] encode(String text, boolean parseSpecial);

    /**
     * The text of ids; special tokens give their own text, malformed UTF-8 gives U+FFFD.
     *
     * @throws IndexOutOfBoundsException for an id outside {@code 0 .. size() - 1}
     */
    String decode(int[] ids);

    /**
     * The bytes that one token stands for, possibly a part of a character; a fresh array.
     *
     * @throws IndexOutOfBoundsException for an id outside {@code 0 .. size() - 1}
     */
    byte[] bytes(int id);

    /**
     * A token as the vocabulary spells it ({@code Ġthe}, {@code ▁the}, {@code <0x0A>}).
     *
     * @throws IndexOutOfBoundsException for an id outside {@code 0 .. size() - 1}
     */
    String piece(int id);

    /** The number of tokens in the vocabulary. */
    int size();

    /** The id of a token by the vocabulary's own spelling, as {@link #piece} gives it. */
    OptionalInt id(String piece);

    /** Whether a token steers the model rather than standing for text. */
    boolean isControl(int id);

    /** The beginning-of-sequence token, -1 where there is none. */
    int bos();

    /** All ids that end a generation: end of text, of turn, of message. Unmodifiable, perhaps empty. */
    Set<Integer> eos();

    /** Whether the model was trained with {@link #bos} in front of each sequence. */
    boolean addBos();

    /** Whether {@link #encode} puts a space in front of text, so that {@link #decode} takes one away from the first piece. */
    default boolean spacePrefix() {
        return false;
    }

    /**
     * The tokenizer described by a GGUF file's metadata.
     *
     * <p>Values are Java values: integers {@code Long}, floats {@code Double}, {@code Boolean}, {@code String}; arrays {@code String[]}, {@code int[]}
     * (8 to 32 bits), {@code long[]}, {@code float[]}, {@code double[]}, {@code boolean[]}.
     *
     * @throws UnsupportedTokenizerException when {@code tokenizer.ggml.model} or {@code tokenizer.ggml.pre} is not known
     * @throws MalformedTokenizerException when a key is missing, of the wrong type or length, or out of range
     */
    static Tokenizer fromGguf(Map<String, Object> metadata) {
        return VocabularyTokenizer.of(new GgufKeys(metadata));
    }

    /**
     * The tokenizer of a Hugging Face folder: models BPE (byte-level, or with characters and byte fallback) and Unigram, with the normalizers,
     * pre-tokenizers, decoders and added tokens of current model families. Texts longer than a page are encoded in linear time whatever the parts are.
     *
     * <p>Beginning- and end-of-sequence tokens come from the configuration; a beginning token that only the post-processor names is taken from
     * there. What generation_config.json says is given with {@link #withEos}.
     *
     * @param tokenizer the content of tokenizer.json: at most 2 Mi tokens and 4 Mi merges
     * @param config the content of tokenizer_config.json, null where there is none
     * @throws UnsupportedTokenizerException for a model, normalizer, pre-tokenizer, regular expression or decoder that is not known
     * @throws MalformedTokenizerException when a value is missing, of the wrong type, or out of range
     */
    static Tokenizer fromJson(JsonNode tokenizer, @Nullable JsonNode config) {
        return TokenizerJson.read(tokenizer, config);
    }

    /**
     * The same for files.
     *
     * @throws MalformedTokenizerException also for a file of more than 64 MiB or one that is not JSON
     * @throws IOException when a file cannot be read
     */
    static Tokenizer fromJson(Path tokenizer, @Nullable Path config) throws IOException {
        return TokenizerJson.read(TokenizerJson.parse(tokenizer), config == null ? null : TokenizerJson.parse(config));
    }

    /**
     * This tokenizer with more ids that end a generation.
     *
     * @throws IllegalArgumentException for an id outside {@code 0 .. size() - 1}
     */
    Tokenizer withEos(Set<Integer> more);

    /**
     * This tokenizer for an embedding with more rows than there are tokens; the ids beyond stand for no text.
     *
     * @throws IllegalArgumentException if the embedding has fewer rows
     */
    default Tokenizer padded(int rows) {
        return new PaddedTokenizer(this, rows);
    }
}
