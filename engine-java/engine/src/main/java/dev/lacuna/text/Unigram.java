package dev.lacuna.text;

import java.util.Arrays;

/**
 * SentencePiece's unigram model (Kudo, 2018): the segmentation of greatest total log-probability, by Viterbi over a trie of the pieces. What no piece
 * covers costs ten more than the worst piece and becomes bytes, or the unknown token.
 */
final class Unigram implements WordModel {
    /** Longer pieces are refused, which bounds the work for each character. */
    static final int LONGEST = 512;
    private static final double PENALTY = 10;
    private final Vocabulary vocabulary;
    private final double[] scores;
    private final double unknownScore;
    private final MergeTable edges;
    private final int[] ends; // trie node -> id, -1
    private final int[] byteIds = new int[256];
    private final int longest;

    /** @param scores log-probabilities of the tokens that are in the model */
    Unigram(Vocabulary vocabulary, double[] scores, boolean byteFallback) {
        this.vocabulary = vocabulary;
        this.scores = scores;
        double worst = Double.POSITIVE_INFINITY;
        int characters = 0;
        int most = 1;
        for (int id = 0; id < vocabulary.size(); id++) {
            if (vocabulary.inModel(id)) {
                int length = vocabulary.pieces[id].length();
                if (length > LONGEST) {
                    throw new MalformedTokenizerException("model.vocab",
                            "token " + id + " has " + length + " characters; at most " + LONGEST + " are possible");
                }
                worst = Math.min(worst, scores[id]);
                characters = Math.addExact(characters, length);
                most = Math.max(most, length);
            }
        }
        unknownScore = worst - PENALTY;
        longest = most;
        edges = new MergeTable(characters);
        int[] found = new int[characters + 1];
        Arrays.fill(found, -1);
        int nodes = 1;
        for (int id = 0; id < vocabulary.size(); id++) {
            if (vocabulary.inModel(id) && !vocabulary.pieces[id].isEmpty()) {
                String piece = vocabulary.pieces[id];
                int node = 0;
                for (int i = 0; i < piece.length(); i++) {
                    long edge = edges.merge(node, piece.charAt(i));
                    if (edge >>> 32 == 0) {
                        node = (int) edge;
                    } else {
                        edges.add(node, piece.charAt(i), 0, nodes);
                        node = nodes++;
                    }
                }
                found[node] = id;
            }
        }
        ends = Arrays.copyOf(found, nodes);
        Arrays.fill(byteIds, -1);
        for (int id = 0; byteFallback && id < vocabulary.size(); id++) {
            if (vocabulary.types[id] == Vocabulary.BYTE) {
                byteIds[SentencePieceBpe.value(vocabulary, id)] = id;
            }
        }
    }

    @Override
    public Merger scratch() {
        return new Merger(edges);
    }

    @Override
    public void encode(String text, int from, int to, Merger scratch, IdList ids) {
        int n = to - from;
        int[] best = new int[n + 1]; // the token that ends here on the best path, -1 for an unknown character, -2 for a place no path reaches
        double[] total = new double[longest + 2]; // a ring: no piece reaches further back
        Arrays.fill(best, -2);
        for (int at = 0; at < n;) {
            double here = total[at % total.length];
            int width = Character.charCount(Utf8.codePoint(text, from + at, to));
            boolean single = false;
            int node = 0;
            for (int end = at; end < n;) {
                long edge = edges.merge(node, text.charAt(from + end));
                if (edge >>> 32 != 0) {
                    break;
                }
                end++;
                node = (int) edge;
                int id = ends[node];
                if (id >= 0) {
                    reach(best, total, end, id, here + scores[id]);
                    single |= end - at == width;
                }
            }
            if (!single) {
                reach(best, total, at + width, -1, here + unknownScore);
            }
            at += width;
        }
        path(text, from, n, best, scratch, ids);
    }

    private static void reach(int[] best, double[] total, int place, int id, double score) {
        if (best[place] == -2 || score > total[place % total.length]) {
            best[place] = id;
            total[place % total.length] = score;
        }
    }

    private void path(String text, int from, int n, int[] best, Merger scratch, IdList ids) {
        scratch.reserve(n);
        int[] places = scratch.ids;
        int count = 0;
        for (int at = n; at > 0; count++) {
            places[count] = at;
            int id = best[at];
            at -= id >= 0 ? vocabulary.pieces[id].length() : Character.charCount(codePointBefore(text, from, from + at));
        }
        for (int start = 0; count > 0;) {
            int end = places[--count];
            if (!isUnknown(best[end])) {
                ids.add(best[end]);
            } else {
                // a run of unknown characters is one piece, which has bytes for all of its characters or for none
                while (count > 0 && isUnknown(best[places[count - 1]])) {
                    end = places[--count];
                }
                fallBack(text, from + start, from + end, ids);
            }
            start = end;
        }
    }

    private boolean isUnknown(int id) {
        return id < 0 || id == vocabulary.unknown;
    }

    private static int codePointBefore(String text, int from, int at) {
        char low = text.charAt(at - 1);
        return Character.isLowSurrogate(low) && at - 2 >= from && Character.isHighSurrogate(text.charAt(at - 2))
                ? Character.toCodePoint(text.charAt(at - 2), low)
                : 0xFFFD;
    }

    private void fallBack(String text, int from, int to, IdList ids) {
        IdList bytes = new IdList();
        for (int at = from; at < to;) {
            int codePoint = Utf8.codePoint(text, at, to);
            int length = Utf8.length(codePoint);
            for (int unit = 0; unit < length; unit++) {
                int id = byteIds[Utf8.unit(codePoint, unit, length)];
                if (id < 0) {
                    if (vocabulary.unknown >= 0) {
                        ids.add(vocabulary.unknown);
                    }
                    return;
                }
                bytes.add(id);
            }
            at += Character.charCount(codePoint);
        }
        ids.addAll(bytes.toArray(), 0, bytes.size());
    }

    @Override
    public byte[] bytes(int id) {
        return SentencePieceBpe.spelled(vocabulary, id);
    }
}
