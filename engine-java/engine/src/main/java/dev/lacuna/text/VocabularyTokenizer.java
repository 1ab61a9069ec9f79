package dev.lacuna.text;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.Set;

/** A vocabulary, the special tokens that split text first, and the algorithm for the text between them. */
final class VocabularyTokenizer implements Tokenizer {
    private final Vocabulary vocabulary;
    private final Segmenter segmenter;
    private final Specials userDefined;
    private final Specials all;
    private final boolean addBos;
    private final boolean spacePrefix;

    private VocabularyTokenizer(Vocabulary vocabulary, Segmenter segmenter, boolean addBos, boolean spacePrefix) {
        this.vocabulary = vocabulary;
        this.segmenter = segmenter;
        this.addBos = addBos;
        this.spacePrefix = spacePrefix;
        userDefined = new Specials(vocabulary, false);
        all = new Specials(vocabulary, true);
    }

    static VocabularyTokenizer of(GgufKeys keys) {
        String model = keys.requiredString("model");
        switch (model) {
            case "gpt2" -> {
                String pre = keys.string("pre");
                PreTokenizer preTokenizer = pre == null ? PreTokenizer.GPT2 : PreTokenizer.of(GgufKeys.PREFIX + "pre", pre);
                Vocabulary vocabulary = Vocabulary.of(keys);
                boolean addBos = keys.flag("add_bos_token", preTokenizer == PreTokenizer.LLAMA3);
                return new VocabularyTokenizer(vocabulary, new ByteLevelBpe(vocabulary, preTokenizer, keys.requiredStrings("merges")),
                        checked(addBos, vocabulary), false);
            }
            case "llama" -> {
                Vocabulary vocabulary = Vocabulary.of(keys);
                boolean addBos = keys.flag("add_bos_token", true);
                boolean spacePrefix = keys.flag("add_space_prefix", true);
                return new VocabularyTokenizer(vocabulary, new SentencePieceBpe(vocabulary, keys.requiredFloats("scores"), spacePrefix),
                        checked(addBos, vocabulary), spacePrefix);
            }
            default -> throw new UnsupportedTokenizerException(GgufKeys.PREFIX + "model", model, List.of("gpt2", "llama"));
        }
    }

    private static boolean checked(boolean addBos, Vocabulary vocabulary) {
        if (addBos && vocabulary.bos < 0) {
            throw new MalformedTokenizerException(GgufKeys.PREFIX + "bos_token_id", "is missing, but sequences begin with that token");
        }
        return addBos;
    }

    @Override
    public int[] encode(String text, boolean parseSpecial) {
        Specials specials = parseSpecial ? all : userDefined;
        IdList ids = new IdList();
        for (int at = 0; at < text.length();) {
            int special = specials.find(text, at);
            if (special > at) {
                segmenter.encode(text, at, special, ids);
            }
            if (special < text.length()) {
                int id = specials.match(text, special);
                ids.add(id);
                special += specials.length(id);
            }
            at = special;
        }
        return ids.toArray();
    }

    @Override
    public String decode(int[] ids) {
        ByteArrayOutputStream out = new ByteArrayOutputStream(ids.length * 4);
        boolean start = spacePrefix;
        for (int id : ids) {
            byte[] bytes = bytes(id);
            int from = start && !isControl(id) && bytes.length > 0 && bytes[0] == ' ' ? 1 : 0;
            start &= isControl(id);
            out.write(bytes, from, bytes.length - from);
        }
        return out.toString(StandardCharsets.UTF_8);
    }

    @Override
    public byte[] bytes(int id) {
        return switch (vocabulary.types[Objects.checkIndex(id, size())]) {
            case Vocabulary.CONTROL, Vocabulary.UNKNOWN, Vocabulary.USER_DEFINED -> vocabulary.pieces[id].getBytes(StandardCharsets.UTF_8);
            default -> segmenter.bytes(id);
        };
    }

    @Override
    public String piece(int id) {
        return vocabulary.pieces[Objects.checkIndex(id, size())];
    }

    @Override
    public int size() {
        return vocabulary.size();
    }

    @Override
    public OptionalInt id(String piece) {
        return vocabulary.id(piece);
    }

    @Override
    public boolean isControl(int id) {
        return vocabulary.types[Objects.checkIndex(id, size())] == Vocabulary.CONTROL;
    }

    @Override
    public int bos() {
        return vocabulary.bos;
    }

    @Override
    public Set<Integer> eos() {
        return vocabulary.eos;
    }

    @Override
    public boolean addBos() {
        return addBos;
    }

    @Override
    public boolean spacePrefix() {
        return spacePrefix;
    }
}
