package dev.lacuna.text;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Turns a stream of token ids into text that never breaks within a character. All that it returns, joined, equals {@link Tokenizer#decode} of all ids.
 * Not safe between threads.
 */
public final class StreamDecoder {
    private final Tokenizer tokenizer;
    private boolean start;
    private byte[] pending = new byte[0];

    /** For ids that begin a text: a space that {@link Tokenizer#encode} would have put in front is taken away again. */
    public StreamDecoder(Tokenizer tokenizer) {
        this(tokenizer, false);
    }

    /** @param continuation whether the ids go on with a text that is already shown, so that a leading space belongs to it */
    public StreamDecoder(Tokenizer tokenizer, boolean continuation) {
        this.tokenizer = tokenizer;
        start = tokenizer.spacePrefix() && !continuation;
    }

    /**
     * Takes one more id and returns the text that it completes, perhaps empty.
     *
     * @throws IndexOutOfBoundsException for an id that the tokenizer does not have
     */
    public String next(int id) {
        byte[] bytes = tokenizer.bytes(id);
        int from = 0;
        if (start && !tokenizer.isControl(id)) {
            from = bytes.length > 0 && bytes[0] == ' ' ? 1 : 0;
            start = false;
        }
        byte[] joined = Arrays.copyOf(pending, pending.length + bytes.length - from);
        System.arraycopy(bytes, from, joined, pending.length, bytes.length - from);
        int complete = joined.length - Utf8.incomplete(joined, joined.length);
        pending = Arrays.copyOfRange(joined, complete, joined.length);
        return new String(joined, 0, complete, StandardCharsets.UTF_8);
    }

    /** Returns what is left: U+FFFD when the last character is incomplete, else nothing. The decoder can then be used for a continuation. */
    public String finish() {
        String rest = new String(pending, StandardCharsets.UTF_8);
        pending = new byte[0];
        return rest;
    }
}
