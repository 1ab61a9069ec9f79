package dev.lacuna.text;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * SentencePiece's byte-pair model (Kudo and Richardson, 2018): of all neighbours that join to a token the one of best score joins first. Spaces are
 * spelled U+2581; characters without a token become byte tokens.
 *
 * <p>Scores are turned into ranks and joins into merges of id pairs once. Text is first cut wherever two neighbouring characters stand side by side in
 * no token: no merge can cross such a place, so the words are independent, short, and worth remembering.
 */
final class SentencePieceBpe implements WordModel {
    private static final char SPACE = '\u2581';
    private final Vocabulary vocabulary;
    private final boolean fuseUnknown;
    private boolean drops;
    private final Map<Integer, Integer> symbolOf = new HashMap<>(); // code point -> id, or size + n for characters that occur only inside tokens
    private final int[] extras; // the code points of those
    private final int[] byteIds = new int[256];
    private MergeTable merges = new MergeTable(0);
    private final MergeTable neighbours;
    private final WordCache cache = new WordCache();

    private SentencePieceBpe(Vocabulary vocabulary, boolean fuseUnknown, boolean inside) {
        this.vocabulary = vocabulary;
        this.fuseUnknown = fuseUnknown;
        Arrays.fill(byteIds, -1);
        for (int id = 0; id < vocabulary.size(); id++) {
            if (vocabulary.types[id] == Vocabulary.BYTE) {
                byteIds[value(vocabulary, id)] = id;
            }
        }
        extras = symbols(inside);
        neighbours = neighbours();
    }

    /** SentencePiece's own model: a token's score ranks every way to join it. */
    static SentencePieceBpe ofScores(Vocabulary vocabulary, float[] scores) {
        int size = vocabulary.size();
        if (scores.length != size) {
            throw new MalformedTokenizerException(GgufKeys.PREFIX + "scores", "has " + scores.length + " entries for " + size + " tokens");
        }
        SentencePieceBpe model = new SentencePieceBpe(vocabulary, true, true);
        for (int b = 0; b < 256; b++) {
            if (model.byteIds[b] < 0 && vocabulary.unknown < 0) {
                throw new MalformedTokenizerException(GgufKeys.PREFIX + "unknown_token_id",
                        "is missing, and there is no token for the byte " + b + " either");
            }
        }
        model.merges = model.merges(ranks(scores));
        return model;
    }

    /** The same with merges given, as in tokenizer.json: a character that is no token falls back before anything merges. */
    static SentencePieceBpe ofMerges(Vocabulary vocabulary, MergeTable merges, boolean fuseUnknown) {
        SentencePieceBpe model = new SentencePieceBpe(vocabulary, fuseUnknown, false);
        model.merges = merges;
        model.drops = vocabulary.unknown < 0 && Arrays.stream(model.byteIds).anyMatch(id -> id < 0);
        return model;
    }

    @Override
    public Merger scratch() {
        return new Merger(merges);
    }

    /** The byte that a token spelled {@code <0xNN>} stands for. */
    static int value(Vocabulary vocabulary, int id) {
        String piece = vocabulary.pieces[id];
        if (piece.length() == 6 && piece.startsWith("<0x") && piece.charAt(5) == '>') {
            int high = Character.digit(piece.charAt(3), 16);
            int low = Character.digit(piece.charAt(4), 16);
            if (high >= 0 && low >= 0) {
                return (high << 4) | low;
            }
        }
        throw new MalformedTokenizerException(GgufKeys.PREFIX + "tokens", "byte token " + id + " is not spelled <0xNN>");
    }

    private boolean joins(int id) {
        return vocabulary.inModel(id);
    }

    private int[] symbols(boolean alsoInside) {
        IdList inside = new IdList();
        for (int id = 0; id < vocabulary.size(); id++) {
            String piece = vocabulary.pieces[id];
            if (joins(id) && !piece.isEmpty() && piece.codePointCount(0, piece.length()) == 1) {
                symbolOf.put(piece.codePointAt(0), id);
            }
        }
        for (int id = 0; id < vocabulary.size() && alsoInside; id++) {
            if (joins(id)) {
                vocabulary.pieces[id].codePoints().forEach(c -> {
                    if (symbolOf.putIfAbsent(c, vocabulary.size() + inside.size()) == null) {
                        inside.add(c);
                    }
                });
            }
        }
        return inside.toArray();
    }

    private MergeTable neighbours() {
        long[] pairs = new long[1024];
        int n = 0;
        for (int id = 0; id < vocabulary.size(); id++) {
            if (!joins(id)) {
                continue;
            }
            String piece = vocabulary.pieces[id];
            for (int i = 0; i < piece.length();) {
                int codePoint = piece.codePointAt(i);
                i += Character.charCount(codePoint);
                if (i < piece.length()) {
                    if (n == pairs.length) {
                        pairs = Arrays.copyOf(pairs, Math.multiplyExact(n, 2));
                    }
                    pairs[n++] = ((long) codePoint << 32) | piece.codePointAt(i);
                }
            }
        }
        long[] distinct = Arrays.stream(pairs, 0, n).sorted().distinct().toArray();
        MergeTable table = new MergeTable(distinct.length);
        for (long pair : distinct) {
            table.add((int) (pair >>> 32), (int) pair, 0, 0);
        }
        return table;
    }

    private static int[] ranks(float[] scores) {
        for (int id = 0; id < scores.length; id++) {
            if (Float.isNaN(scores[id])) {
                throw new MalformedTokenizerException(GgufKeys.PREFIX + "scores", "entry " + id + " is not a number");
            }
        }
        float[] sorted = scores.clone();
        Arrays.sort(sorted);
        int[] ranks = new int[scores.length];
        for (int id = 0; id < scores.length; id++) {
            // equal scores must get equal ranks: the two zeros compare equal here
            ranks[id] = scores.length - firstOf(sorted, scores[id]);
        }
        return ranks;
    }

    private static int firstOf(float[] sorted, float value) {
        int low = 0;
        int high = sorted.length;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (sorted[middle] < value) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    private MergeTable merges(int[] ranks) {
        PieceIndex index = vocabulary.index();
        IdList found = new IdList();
        for (int id = 0; id < vocabulary.size(); id++) {
            String piece = vocabulary.pieces[id];
            int length = piece.length();
            if (!joins(id) || length < 2) {
                continue;
            }
            long[] suffixes = new long[length];
            long power = 1;
            for (int i = length - 1; i > 0; i--) {
                suffixes[i] = index.prepend(piece.charAt(i), power, i + 1 < length ? suffixes[i + 1] : 0);
                power *= index.base();
            }
            long prefix = 0;
            for (int cut = 1; cut < length; cut++) {
                prefix = index.append(prefix, piece.charAt(cut - 1));
                if (Character.isLowSurrogate(piece.charAt(cut)) && Character.isHighSurrogate(piece.charAt(cut - 1))) {
                    continue;
                }
                int left = symbol(index.find(prefix, piece, 0, cut), piece, 0, cut);
                int right = left < 0 ? -1 : symbol(index.find(suffixes[cut], piece, cut, length), piece, cut, length);
                if (right >= 0) {
                    found.add(left);
                    found.add(right);
                    found.add(id);
                }
            }
        }
        int[] triples = found.toArray();
        MergeTable table = new MergeTable(triples.length / 3);
        for (int i = 0; i < triples.length; i += 3) {
            table.add(triples[i], triples[i + 1], ranks[triples[i + 2]], triples[i + 2]);
        }
        return table;
    }

    private int symbol(int id, String piece, int from, int to) {
        if (id >= 0 && joins(id)) {
            return id;
        }
        int codePoint = piece.codePointAt(from);
        return from + Character.charCount(codePoint) == to ? symbolOf.getOrDefault(codePoint, -1) : -1;
    }

    @Override
    public void encode(String text, int from, int to, Merger merger, IdList ids) {
        if (drops) {
            String kept = kept(text, from, to);
            encodeKept(kept, 0, kept.length(), merger, ids);
        } else {
            encodeKept(text, from, to, merger, ids);
        }
    }

    /** Without the characters that become nothing, so that those beside them can merge. */
    private String kept(String text, int from, int to) {
        StringBuilder out = new StringBuilder(to - from);
        for (int at = from; at < to;) {
            int codePoint = Utf8.codePoint(text, at, to);
            if (symbolOf.containsKey(codePoint) || fallBack(codePoint, new int[4], 0) > 0) {
                out.appendCodePoint(codePoint);
            }
            at += Character.charCount(codePoint);
        }
        return out.toString();
    }

    private void encodeKept(String spelled, int from, int to, Merger merger, IdList ids) {
        int begin = ids.size();
        for (int at = from; at < to;) {
            int end = at;
            for (int codePoint = Utf8.codePoint(spelled, at, to);;) {
                end += Character.charCount(codePoint);
                if (end == to) {
                    break;
                }
                int following = Utf8.codePoint(spelled, end, to);
                if (neighbours.merge(codePoint, following) >>> 32 != 0) {
                    break;
                }
                codePoint = following;
            }
            if (end - at > WordCache.LONGEST) {
                int n = encodeWord(spelled, at, end, merger); // may replace merger.ids
                append(merger.ids, n, begin, ids);
            } else {
                int hash = WordCache.hash(spelled, at, end);
                int[] known = cache.get(hash, spelled, at, end);
                if (known == null) {
                    int n = encodeWord(spelled, at, end, merger);
                    cache.put(hash, spelled, at, end, merger.ids, n);
                    append(merger.ids, n, begin, ids);
                } else {
                    append(known, known.length, begin, ids);
                }
            }
            at = end;
        }
    }

    /** A run of characters without a token is one unknown token. */
    private void append(int[] word, int n, int begin, IdList ids) {
        boolean goesOn = fuseUnknown && n > 0 && word[0] == vocabulary.unknown && ids.size() > begin && ids.last() == vocabulary.unknown;
        ids.addAll(word, goesOn ? 1 : 0, n);
    }

    private int encodeWord(String text, int at, int end, Merger merger) {
        merger.reserve(Math.multiplyExact(4, end - at));
        int[] symbols = merger.ids;
        int n = 0;
        int first = Utf8.codePoint(text, at, end);
        if (at + Character.charCount(first) == end && !symbolOf.containsKey(first)) {
            return fallBack(first, symbols, 0);
        }
        for (int i = at; i < end;) {
            int codePoint = Utf8.codePoint(text, i, end);
            Integer symbol = symbolOf.get(codePoint);
            if (symbol == null) {
                n = fallBack(codePoint, symbols, n);
            } else {
                symbols[n++] = symbol;
            }
            i += Character.charCount(codePoint);
        }
        n = merger.merge(n);
        return withoutExtras(symbols, n);
    }

    // characters that occur only inside tokens and found no partner fall back like those that occur nowhere
    private int withoutExtras(int[] symbols, int n) {
        int[] merged = null;
        int out = 0;
        for (int i = 0; i < n; i++) {
            int id = merged == null ? symbols[i] : merged[i];
            if (id < vocabulary.size()) {
                symbols[out++] = id;
            } else {
                if (merged == null) {
                    merged = Arrays.copyOf(symbols, n);
                }
                out = fallBack(extras[id - vocabulary.size()], symbols, out);
            }
        }
        return out;
    }

    private int fallBack(int codePoint, int[] out, int n) {
        int length = Utf8.length(codePoint);
        for (int unit = 0; unit < length; unit++) {
            if (byteIds[Utf8.unit(codePoint, unit, length)] < 0) {
                if (vocabulary.unknown >= 0 && (!fuseUnknown || n == 0 || out[n - 1] != vocabulary.unknown)) {
                    out[n++] = vocabulary.unknown;
                }
                return n;
            }
        }
        for (int unit = 0; unit < length; unit++) {
            out[n++] = byteIds[Utf8.unit(codePoint, unit, length)];
        }
        return n;
    }

    @Override
    public byte[] bytes(int id) {
        return spelled(vocabulary, id);
    }

    /** What a token stands for where spaces are spelled U+2581 and bytes {@code <0xNN>}. */
    static byte[] spelled(Vocabulary vocabulary, int id) {
        if (vocabulary.types[id] == Vocabulary.BYTE) {
            return new byte[]{(byte) value(vocabulary, id)};
        }
        return vocabulary.pieces[id].replace(SPACE, ' ').getBytes(StandardCharsets.UTF_8);
    }
}
