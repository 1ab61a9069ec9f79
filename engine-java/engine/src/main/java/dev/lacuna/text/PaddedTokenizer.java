package dev.lacuna.text;

import java.util.OptionalInt;
import java.util.Set;

/**
 * A tokenizer with more ids than tokens, as models have whose embedding is padded to a round number of rows. The ids beyond stand for nothing.
 *
 * @param size of the embedding
 */
record PaddedTokenizer(Tokenizer tokenizer, int size) implements Tokenizer {
    PaddedTokenizer {
        if (size < tokenizer.size()) throw new IllegalArgumentException(size + " ids for " + tokenizer.size() + " tokens");
    }

    private boolean token(int id) {
        if (id < 0 || id >= size) throw new IndexOutOfBoundsException("token " + id + " of " + size);
        return id < tokenizer.size();
    }

    @Override
    public int[] encode(String text, boolean parseSpecial) {
        return tokenizer.encode(text, parseSpecial);
    }

    @Override
    public String decode(int[] ids) {
        int[] tokens = new int[ids.length];
        int n = 0;
        for (int id : ids) {
            if (token(id)) tokens[n++] = id;
        }
        return tokenizer.decode(java.util.Arrays.copyOf(tokens, n));
    }

    @Override
    public byte[] bytes(int id) {
        return token(id) ? tokenizer.bytes(id) : new byte[0];
    }

    @Override
    public String piece(int id) {
        return token(id) ? tokenizer.piece(id) : "";
    }

    @Override
    public OptionalInt id(String piece) {
        return tokenizer.id(piece);
    }

    @Override
    public boolean isControl(int id) {
        return !token(id) || tokenizer.isControl(id);
    }

    @Override
    public int bos() {
        return tokenizer.bos();
    }

    @Override
    public Set<Integer> eos() {
        return tokenizer.eos();
    }

    @Override
    public boolean addBos() {
        return tokenizer.addBos();
    }

    @Override
    public boolean spacePrefix() {
        return tokenizer.spacePrefix();
    }

    @Override
    public Tokenizer withEos(Set<Integer> more) {
        return new PaddedTokenizer(tokenizer.withEos(more), size);
    }
}
