package dev.lacuna;

import dev.lacuna.text.Message;
import dev.lacuna.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.IntStream;

/** Tokenizes rendered conversations. */
final class Prompts {
    private Prompts() {}

    /**
     * Ids of a rendered conversation. Where the words of a message spell a special token, the text is cut within it, so that its pieces are tokenized
     * as text; everything else is one piece, since where a text is cut changes its tokens.
     */
    static int[] encode(Tokenizer tokenizer, String rendered, List<Message> messages) {
        TreeSet<Integer> cuts = new TreeSet<>();
        int from = 0;
        for (Message m : messages) {
            String words = m.content().strip();
            int at = rendered.indexOf(words, from);
            if (words.isEmpty() || at < 0) continue;
            from = at + words.length();
            for (String special : controls(tokenizer, words)) {
                for (int hit = words.indexOf(special); hit >= 0; hit = words.indexOf(special, hit + 1)) cuts.add(at + hit + 1);
            }
        }
        if (cuts.isEmpty()) return tokenizer.encode(rendered, true);
        cuts.add(rendered.length());
        IntStream ids = IntStream.empty();
        int begin = 0;
        for (int cut : cuts) {
            ids = IntStream.concat(ids, IntStream.of(tokenizer.encode(rendered.substring(begin, cut), true)));
            begin = cut;
        }
        return ids.toArray();
    }

    /** The control tokens that a text spells. */
    private static List<String> controls(Tokenizer tokenizer, String words) {
        List<String> found = new ArrayList<>();
        for (int id = 0; id < tokenizer.size(); id++) {
            if (!tokenizer.isControl(id)) continue;
            String piece = tokenizer.piece(id);
            if (piece.length() > 1 && words.contains(piece)) found.add(piece);
        }
        return found;
    }
}
