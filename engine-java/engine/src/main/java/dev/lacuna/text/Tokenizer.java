package dev.lacuna.text;

import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

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
}
