package dev.lacuna.text;

import java.util.HashMap;
import java.util.Map;

/** Finds the tokens that are cut out of text before it is tokenized, the leftmost first and of those the longest. */
final class Specials {
    private static final int LONGEST = 256;
    private final Vocabulary vocabulary;
    private final Node root = new Node();
    private final boolean[] begins = new boolean[1 << 16];

    private static final class Node {
        final Map<Character, Node> next = new HashMap<>();
        int id = -1;
    }

    /** @param control whether control tokens are looked for, and not only user-defined ones */
    Specials(Vocabulary vocabulary, boolean control) {
        this.vocabulary = vocabulary;
        for (int id = 0; id < vocabulary.size(); id++) {
            int type = vocabulary.types[id];
            if (type == Vocabulary.USER_DEFINED || control && (type == Vocabulary.CONTROL || type == Vocabulary.UNKNOWN)) {
                add(id, vocabulary.pieces[id]);
            }
        }
    }

    private void add(int id, String piece) {
        if (piece.length() > LONGEST) {
            throw new MalformedTokenizerException(GgufKeys.PREFIX + "tokens",
                    "special token " + id + " has " + piece.length() + " characters; at most " + LONGEST + " are possible");
        }
        if (piece.isEmpty()) {
            return;
        }
        Node node = root;
        for (int i = 0; i < piece.length(); i++) {
            node = node.next.computeIfAbsent(piece.charAt(i), c -> new Node());
        }
        node.id = id;
        begins[piece.charAt(0)] = true;
    }

    /** The place of the next special token from {@code at} on, or {@code text.length()}. */
    int find(String text, int at) {
        while (at < text.length() && (!begins[text.charAt(at)] || match(text, at) < 0)) {
            at++;
        }
        return at;
    }

    /** The longest special token at a place, or -1. */
    int match(String text, int at) {
        int best = -1;
        Node node = root;
        for (int i = at; i < text.length(); i++) {
            node = node.next.get(text.charAt(i));
            if (node == null) {
                break;
            }
            if (node.id >= 0) {
                best = node.id;
            }
        }
        return best;
    }

    int length(int id) {
        return vocabulary.pieces[id].length();
    }
}
