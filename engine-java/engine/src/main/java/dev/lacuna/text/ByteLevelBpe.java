package dev.lacuna.text;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Byte-pair encoding over UTF-8 bytes, each spelled as a printable character (GPT-2; Radford et al., 2019). */
final class ByteLevelBpe implements WordModel {
    private static final char[] SPELLING = new char[256];
    private static final short[] BYTE_OF = new short[324];

    static {
        Arrays.fill(BYTE_OF, (short) -1);
        char spare = 256;
        for (int b = 0; b < 256; b++) {
            boolean printable = (b > 32 && b < 127) || (b > 160 && b != 173);
            SPELLING[b] = printable ? (char) b : spare++;
            BYTE_OF[SPELLING[b]] = (short) b;
        }
    }

    private final Vocabulary vocabulary;
    private final MergeTable merges;
    private final WordCache cache = new WordCache();
    private final int[] byteIds = new int[256];
    private final boolean wholeWords;
    private final int longestPiece;

    /** @param wholeWords whether a word that is a token is taken as it is, whatever its merges would make of it */
    ByteLevelBpe(Vocabulary vocabulary, MergeTable merges, boolean wholeWords) {
        this.vocabulary = vocabulary;
        this.merges = merges;
        this.wholeWords = wholeWords;
        longestPiece = Arrays.stream(vocabulary.pieces).mapToInt(String::length).max().orElse(0);
        for (int b = 0; b < 256; b++) {
            int id = vocabulary.index().find(String.valueOf(SPELLING[b]));
            byteIds[b] = id >= 0 && vocabulary.inModel(id) ? id : -1;
        }
    }

    @Override
    public Merger scratch() {
        return new Merger(merges);
    }

    @Override
    public void encode(String text, int from, int to, Merger merger, IdList ids) {
        if (to - from > WordCache.LONGEST) {
            int n = encodeWord(text, from, to, merger);
            ids.addAll(merger.ids, 0, n);
            return;
        }
        int hash = WordCache.hash(text, from, to);
        int[] known = cache.get(hash, text, from, to);
        if (known != null) {
            ids.addAll(known, 0, known.length);
        } else {
            int n = encodeWord(text, from, to, merger);
            cache.put(hash, text, from, to, merger.ids, n);
            ids.addAll(merger.ids, 0, n);
        }
    }

    private int encodeWord(String text, int at, int end, Merger merger) {
        if (wholeWords && end - at <= longestPiece) {
            int whole = whole(text, at, end);
            if (whole >= 0) {
                merger.ids[0] = whole;
                return 1;
            }
        }
        merger.reserve(Math.multiplyExact(3, end - at));
        int[] symbols = merger.ids;
        int n = 0;
        for (int i = at; i < end;) {
            int codePoint = Utf8.codePoint(text, i, end);
            int length = Utf8.length(codePoint);
            for (int unit = 0; unit < length; unit++) {
                int id = byteIds[Utf8.unit(codePoint, unit, length)];
                if (id >= 0) {
                    symbols[n++] = id;
                }
            }
            i += Character.charCount(codePoint);
        }
        return merger.merge(n);
    }

    private int whole(String text, int at, int end) {
        StringBuilder spelled = new StringBuilder();
        for (int i = at; i < end;) {
            int codePoint = Utf8.codePoint(text, i, end);
            int length = Utf8.length(codePoint);
            for (int unit = 0; unit < length; unit++) {
                spelled.append(SPELLING[Utf8.unit(codePoint, unit, length)]);
            }
            i += Character.charCount(codePoint);
        }
        int id = vocabulary.index().find(spelled.toString());
        return id >= 0 && vocabulary.isWord(id) ? id : -1;
    }

    @Override
    public byte[] bytes(int id) {
        String piece = vocabulary.pieces[id];
        ByteArrayOutputStream out = new ByteArrayOutputStream(piece.length());
        for (int i = 0; i < piece.length(); i++) {
            char c = piece.charAt(i);
            if (c >= BYTE_OF.length || BYTE_OF[c] < 0) {
                return piece.getBytes(StandardCharsets.UTF_8); // not spelled in bytes: the token is its own text
            }
            out.write(BYTE_OF[c]);
        }
        return out.toByteArray();
    }
}
