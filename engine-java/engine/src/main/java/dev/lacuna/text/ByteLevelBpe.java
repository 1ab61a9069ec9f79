package dev.lacuna.text;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.text.Normalizer;
import java.util.Arrays;

/** Byte-pair encoding over UTF-8 bytes, each spelled as a printable character (GPT-2; Radford et al., 2019). */
final class ByteLevelBpe implements Segmenter {
    private static final char[] SPELLING = new char[256];
    private static final short[] BYTE_OF = new short[324];
    /** Runs of combining marks beyond this are normalised in parts, which keeps the reordering of hostile text from growing quadratic. */
    private static final int LONGEST_MARK_RUN = 1024;

    static {
        Arrays.fill(BYTE_OF, (short) -1);
        char spare = 256;
        for (int b = 0; b < 256; b++) {
            boolean printable = b > 32 && b < 127 || b > 160 && b != 173;
            SPELLING[b] = printable ? (char) b : spare++;
            BYTE_OF[SPELLING[b]] = (short) b;
        }
    }

    private final Vocabulary vocabulary;
    private final PreTokenizer preTokenizer;
    private final MergeTable merges;
    private final WordCache cache = new WordCache();
    private final int[] byteIds = new int[256];
    private final boolean wholeWords;
    private final int longestPiece;

    ByteLevelBpe(Vocabulary vocabulary, PreTokenizer preTokenizer, String[] mergeLines) {
        this.vocabulary = vocabulary;
        this.preTokenizer = preTokenizer;
        // Llama 3 takes a word that is a token as it is, whatever its merges would make of it
        wholeWords = preTokenizer == PreTokenizer.LLAMA3;
        longestPiece = Arrays.stream(vocabulary.pieces).mapToInt(String::length).max().orElse(0);
        for (int b = 0; b < 256; b++) {
            byteIds[b] = vocabulary.index().find(String.valueOf(SPELLING[b]));
        }
        merges = merges(mergeLines);
    }

    private MergeTable merges(String[] lines) {
        MergeTable table = new MergeTable(lines.length);
        PieceIndex index = vocabulary.index();
        for (int rank = 0; rank < lines.length; rank++) {
            String line = lines[rank];
            int space = line.indexOf(' ', 1);
            if (space < 0) {
                throw malformed(rank, line, "is not two tokens with a space between them");
            }
            int left = index.find(line, 0, space);
            int right = index.find(line, space + 1, line.length());
            int both = index.find(line, 0, space, line, space + 1, line.length());
            if (left < 0 || right < 0 || both < 0) {
                throw malformed(rank, line, "names a token that is not in the vocabulary");
            }
            table.add(left, right, rank, both);
        }
        return table;
    }

    private static MalformedTokenizerException malformed(int rank, String line, String reason) {
        String shown = line.length() > 80 ? line.substring(0, 80) + "..." : line;
        return new MalformedTokenizerException(GgufKeys.PREFIX + "merges", "merge " + rank + " \"" + shown + "\" " + reason);
    }

    @Override
    public void encode(String text, int from, int to, IdList ids) {
        if (preTokenizer == PreTokenizer.QWEN2 && !isPlain(text, from, to)) {
            String normal = normalize(text, from, to);
            encodeWords(normal, 0, normal.length(), ids);
        } else {
            encodeWords(text, from, to, ids);
        }
    }

    private void encodeWords(String text, int from, int to, IdList ids) {
        Merger merger = new Merger(merges);
        for (int at = from; at < to;) {
            int end = preTokenizer.next(text, at, to);
            if (end - at > WordCache.LONGEST) {
                int n = encodeWord(text, at, end, merger);
                ids.addAll(merger.ids, 0, n);
            } else {
                int hash = WordCache.hash(text, at, end);
                int[] known = cache.get(hash, text, at, end);
                if (known != null) {
                    ids.addAll(known, 0, known.length);
                } else {
                    int n = encodeWord(text, at, end, merger);
                    cache.put(hash, text, at, end, merger.ids, n);
                    ids.addAll(merger.ids, 0, n);
                }
            }
            at = end;
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
        return id >= 0 && vocabulary.types[id] == Vocabulary.NORMAL ? id : -1;
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

    /** Whether normal form C leaves the text as it is because no character reaches U+0300, where the first combining marks are. */
    private static boolean isPlain(String text, int from, int to) {
        for (int i = from; i < to; i++) {
            if (text.charAt(i) >= 0x300) {
                return false;
            }
        }
        return true;
    }

    private static String normalize(String text, int from, int to) {
        StringBuilder out = new StringBuilder(to - from);
        int start = from;
        int marks = 0;
        for (int i = from; i < to;) {
            int codePoint = Utf8.codePoint(text, i, to);
            marks = isMark(codePoint) ? marks + 1 : 0;
            if (marks > LONGEST_MARK_RUN) {
                out.append(Normalizer.normalize(text.substring(start, i), Normalizer.Form.NFC));
                start = i;
                marks = 1;
            }
            i += Character.charCount(codePoint);
        }
        return out.append(Normalizer.normalize(text.substring(start, to), Normalizer.Form.NFC)).toString();
    }

    private static boolean isMark(int codePoint) {
        int type = Character.getType(codePoint);
        return type == Character.NON_SPACING_MARK || type == Character.ENCLOSING_MARK || type == Character.COMBINING_SPACING_MARK;
    }
}
