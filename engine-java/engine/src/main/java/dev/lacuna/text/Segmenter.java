package dev.lacuna.text;

/** Tokenizes plain text, which holds no special tokens, and knows what a token's spelling stands for. */
interface Segmenter {
    /**
     * Appends the ids of {@code text[from, to)}, which is not empty.
     *
     * @param parseSpecial whether control tokens that are only found in normalised text are looked for
     */
    void encode(String text, int from, int to, boolean parseSpecial, IdList ids);

    /** The bytes of a token that is spelled in the model's way. */
    byte[] bytes(int id);
}
