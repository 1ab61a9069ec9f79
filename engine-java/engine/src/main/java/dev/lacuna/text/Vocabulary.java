package dev.lacuna.text;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;

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

    private Vocabulary(GgufKeys keys) {
        pieces = keys.requiredStrings("tokens").clone();
        int size = pieces.length;
        if (size == 0 || size > 1 << 24) {
            throw new MalformedTokenizerException(GgufKeys.PREFIX + "tokens",
                    "has " + size + " tokens; 1 to " + (1 << 24) + " are possible");
        }
        types = types(keys, size);
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
        for (String end : ENDS) {
            int id = index.find(end);
            if (id >= 0 && types[id] == CONTROL) {
                ends.add(id);
            }
        }
        eos = java.util.Collections.unmodifiableSet(new LinkedHashSet<>(ends));
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
