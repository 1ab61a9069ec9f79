package dev.lacuna.text;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Finds the tokens that are cut out of text before it is tokenized, the leftmost first and of those the longest. */
final class Specials {
    private static final int LONGEST = 256;
    private final Node root = new Node();
    private final boolean[] begins = new boolean[1 << 16];

    /**
     * How a token is found in text.
     *
     * @param control whether it is only looked for on request
     * @param singleWord whether no word character may stand beside it
     * @param stripLeft whether it takes the white space before it
     * @param stripRight whether it takes the white space after it
     */
    record Rule(int id, String text, boolean control, boolean singleWord, boolean stripLeft, boolean stripRight) {}

    /** What happens to the text between special tokens; never empty. */
    interface Plain {
        void text(int from, int to);
    }

    private static final class Node {
        final Map<Character, Node> next = new HashMap<>(4);
        @Nullable
        Rule rule;
    }

    /** @param control whether control tokens are looked for, and not only user-defined ones */
    Specials(List<Rule> rules, boolean control) {
        for (Rule rule : rules) {
            if (control || !rule.control) {
                add(rule);
            }
        }
    }

    static Specials of(Vocabulary vocabulary, boolean control) {
        List<Rule> rules = new ArrayList<>();
        for (int id = 0; id < vocabulary.size(); id++) {
            int type = vocabulary.types[id];
            if (type == Vocabulary.USER_DEFINED || type == Vocabulary.CONTROL || type == Vocabulary.UNKNOWN) {
                rules.add(new Rule(id, vocabulary.pieces[id], type != Vocabulary.USER_DEFINED, false, false, false));
            }
        }
        return new Specials(rules, control);
    }

    private void add(Rule rule) {
        String text = rule.text;
        if (text.length() > LONGEST) {
            throw new MalformedTokenizerException(GgufKeys.PREFIX + "tokens",
                    "special token " + rule.id + " has " + text.length() + " characters; at most " + LONGEST + " are possible");
        }
        if (text.isEmpty()) {
            return;
        }
        Node node = root;
        for (int i = 0; i < text.length(); i++) {
            node = node.next.computeIfAbsent(text.charAt(i), c -> new Node());
        }
        node.rule = rule;
        begins[text.charAt(0)] = true;
    }

    /** Appends the ids of the special tokens in {@code text[from, to)}, and hands on what lies between them, all in order. */
    void cut(String text, int from, int to, IdList ids, Plain plain) {
        int done = from;
        for (int at = from; at < to;) {
            Rule rule = begins[text.charAt(at)] ? match(text, at, to) : null;
            if (rule == null) {
                at++;
                continue;
            }
            int start = at;
            int stop = at + rule.text.length();
            at = stop;
            if (rule.singleWord && (wordBefore(text, from, start) || (stop < to && Characters.isWord(text.codePointAt(stop))))) {
                continue;
            }
            if (rule.stripLeft) {
                while (start > done && Characters.isSpace(text.charAt(start - 1))) {
                    start--;
                }
                start = Math.max(start, done);
            }
            while (rule.stripRight && stop < to && Characters.isSpace(text.charAt(stop))) {
                stop++;
            }
            if (start > done) {
                plain.text(done, start);
            }
            ids.add(rule.id);
            // the search goes on in white space that was stripped: a token that begins there counts as well, as in the reference
            done = stop;
        }
        if (done < to) {
            plain.text(done, to);
        }
    }

    private static boolean wordBefore(String text, int from, int at) {
        return at > from && Characters.isWord(text.codePointBefore(at));
    }

    /** The longest special token at a place. */
    private @Nullable Rule match(String text, int at, int to) {
        Rule best = null;
        Node node = root;
        for (int i = at; i < to; i++) {
            node = node.next.get(text.charAt(i));
            if (node == null) {
                break;
            }
            if (node.rule != null) {
                best = node.rule;
            }
        }
        return best;
    }
}
