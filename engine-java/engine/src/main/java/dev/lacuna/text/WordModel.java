package dev.lacuna.text;

/** The algorithm that turns one word of normalised text into ids. */
interface WordModel {
    /** Appends the ids of {@code text[from, to)}, which is not empty. */
    void encode(String text, int from, int to, Merger scratch, IdList ids);

    /** Scratch space for one call of encode. */
    Merger scratch();

    /** The bytes that a token of the model stands for. */
    byte[] bytes(int id);
}
