package dev.lacuna.text;

/** Tokenizes plain text, which holds no special tokens, and knows what a token's spelling stands for. */
interface Segmenter {
    /** Appends the ids of {@code text[from, to)}, which is not empty. */
    void encode(String text, int from, int to, IdList ids);

    /** The bytes of a token that is neither control, unknown nor user-defined. */
    byte[] bytes(int id);
}
