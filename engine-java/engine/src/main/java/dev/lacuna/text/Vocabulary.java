package dev.lacuna.text;

import java.util.BitSet;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** The tokens of a model as its file lists them: text, type, and the ids with a role. */
final class Vocabulary {
    static final int NORMAL = 1;
    static final int UNKNOWN = 2;
    static final int CONTROL = 3;
    static final int USER_DEFINED = 4;
    static final int UNUSED = 5;
    static final int BYTE = 6;

    private static final List<String> ENDS = List.of("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>",
            "<|end_of_text|>");

    final String[] pieces;
    final byte[] types;
    final int bos;
    final int unknown;
    final Set<Integer> eos;
    private final PieceIndex index;
    private final @Nullable BitSet model;

    private Vocabulary(GgufKeys keys) {
        pieces = keys.requiredStrings("tokens").clone();
        int size = pieces.length;
        if (size == 0 || size > 1 << 24) {
            throw new MalformedTokenizerException(GgufKeys.PREFIX + "tokens",
                    "has " + size + " tokens; 1 to " + (1 << 24) + " are possible");
        }
        types = types(keys, size);
        model = null;
        index = new PieceIndex(pieces);
        for (int id = 0; id < size; id++) {
            int other = index.add(id);
            // empty texts fill holes of some vocabularies and are never looked up
            if (other >= 0 && !pieces[id].isEmpty()) {
                throw new MalformedTokenizerException(GgufKeys.PREFIX + "tokens", "tokens " + other + " and " + id + " have the same text");
            }
        }
        bos = keys.id("bos_token_id", size);
        unknown = keys.id("unknown_token_id", size);
        Set<Integer> ends = new TreeSet<>();
        for (String key : List.of("eos_token_id", "eot_token_id", "eom_token_id")) {
            int id = keys.id(key, size);
            if (id >= 0) {
                ends.add(id);
            }
        }
        addKnownEnds(ends);
        eos = Collections.unmodifiableSet(new LinkedHashSet<>(ends));
    }

    /**
     * A vocabulary whose model has only some of the tokens.
     *
     * @param index of the pieces
     * @param model the tokens that the model itself makes
     * @param eos the ids that its configuration names as ends
     */
    Vocabulary(String[] pieces, byte[] types, PieceIndex index, BitSet model, int bos, int unknown, Set<Integer> eos) {
        this.pieces = pieces;
        this.types = types;
        this.index = index;
        this.model = model;
        this.bos = bos;
        this.unknown = unknown;
        Set<Integer> ends = new TreeSet<>(eos);
        addKnownEnds(ends);
        this.eos = Collections.unmodifiableSet(new LinkedHashSet<>(ends));
    }

    private void addKnownEnds(Set<Integer> ends) {
        for (String end : ENDS) {
            int id = index.find(end);
            if (id >= 0 && types[id] == CONTROL) {
                ends.add(id);
            }
        }
    }

    /** Whether the model itself, and not only the search for added tokens, can make a token. */
    boolean inModel(int id) {
        return model == null ? types[id] == NORMAL || types[id] == USER_DEFINED : model.get(id);
    }

    /** Whether a token's text is spelled in the model's way, and is not its text as it stands. */
    boolean isSpelled(int id) {
        return switch (types[id]) {
            case CONTROL, UNKNOWN -> false;
            case USER_DEFINED -> model != null && model.get(id);
            default -> true;
        };
    }

    /** Whether a word with this text may become the token without merging. */
    boolean isWord(int id) {
        return model == null ? types[id] == NORMAL : model.get(id);
    }

    /** Merges given as two pieces with a space between. */
    MergeTable merges(String key, String[] lines) {
        MergeTable table = new MergeTable(lines.length);
        for (int rank = 0; rank < lines.length; rank++) {
            String line = lines[rank];
            int space = line.indexOf(' ', 1);
            if (space < 0) {
                throw malformed(key, rank, line, "is not two tokens with a space between them");
            }
            add(table, key, rank, line, 0, space, line, space + 1, line.length());
        }
        return table;
    }

    void add(MergeTable table, String key, int rank, String first, int from, int to, String second, int from2, int to2) {
        int left = index.find(first, from, to);
        int right = index.find(second, from2, to2);
        int both = index.find(first, from, to, second, from2, to2);
        if (left < 0 || right < 0 || both < 0) {
            throw malformed(key, rank, first.substring(from, to) + " " + second.substring(from2, to2),
                    "names a token that is not in the vocabulary");
        }
        table.add(left, right, rank, both);
    }

    static MalformedTokenizerException malformed(String key, int rank, String line, String reason) {
        String shown = line.length() > 80 ? line.substring(0, 80) + "..." : line;
        return new MalformedTokenizerException(key, "merge " + rank + " \"" + shown + "\" " + reason);
    }

    static Vocabulary of(GgufKeys keys) {
        return new Vocabulary(keys);
    }

    private static byte[] types(GgufKeys keys, int size) {
        byte[] types = new byte[size];
        int[] given = keys.ints("token_type");
        if (given != null && given.length != size) {
            throw new MalformedTokenizerException(GgufKeys.PREFIX + "token_type",
                    "has " + given.length + " entries for " + size + " tokens");
        }
        for (int id = 0; id < size; id++) {
            int type = given == null || given[id] == 0 ? NORMAL : given[id];
            if (type < NORMAL || type > BYTE) {
                throw new MalformedTokenizerException(GgufKeys.PREFIX + "token_type", "entry " + id + " is " + type + "; 0 to 6 are known");
            }
            types[id] = (byte) type;
        }
        return types;
    }

    int size() {
        return pieces.length;
    }

    PieceIndex index() {
        return index;
    }

    OptionalInt id(String piece) {
        int id = index.find(piece);
        return id < 0 ? OptionalInt.empty() : OptionalInt.of(id);
    }
}
