package dev.lacuna.text;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;

/** A vocabulary, the special tokens that split text first, and the algorithm for the text between them. */
final class VocabularyTokenizer implements Tokenizer {
    private final Vocabulary vocabulary;
    private final Segmenter segmenter;
    private final Specials userDefined;
    private final Specials all;
    private final Set<Integer> eos;
    private final boolean addBos;
    private final boolean spacePrefix;

    VocabularyTokenizer(Vocabulary vocabulary, Segmenter segmenter, Specials userDefined, Specials all, boolean addBos,
            boolean spacePrefix) {
        this(vocabulary, segmenter, userDefined, all, addBos, spacePrefix, vocabulary.eos);
    }

    private VocabularyTokenizer(Vocabulary vocabulary, Segmenter segmenter, Specials userDefined, Specials all, boolean addBos,
            boolean spacePrefix, Set<Integer> eos) {
        this.eos = Collections.unmodifiableSet(new LinkedHashSet<>(eos));
        this.vocabulary = vocabulary;
        this.segmenter = segmenter;
        this.addBos = addBos;
        this.spacePrefix = spacePrefix;
        this.userDefined = userDefined;
        this.all = all;
    }

    private VocabularyTokenizer(Vocabulary vocabulary, Segmenter segmenter, boolean addBos, boolean spacePrefix) {
        this(vocabulary, segmenter, Specials.of(vocabulary, false), Specials.of(vocabulary, true), addBos, spacePrefix);
    }

    static VocabularyTokenizer of(GgufKeys keys) {
        String model = keys.requiredString("model");
        return switch (model) {
            case "gpt2" -> {
                String name = keys.string("pre");
                PreTokenizer pre = name == null ? PreTokenizer.GPT2 : PreTokenizer.of(GgufKeys.PREFIX + "pre", name);
                Vocabulary vocabulary = Vocabulary.of(keys);
                boolean addBos = keys.flag("add_bos_token", pre == PreTokenizer.LLAMA3);
                boolean spacePrefix = keys.flag("add_space_prefix", false);
                WordModel words = new ByteLevelBpe(vocabulary,
                        vocabulary.merges(GgufKeys.PREFIX + "merges", keys.requiredStrings("merges")),
                        pre.wholeWords());
                List<Stage> stages = new ArrayList<>();
                if (spacePrefix) {
                    stages.add(new Stage.Spell(' ', Stage.Prefix.ALWAYS));
                }
                pre.scanners().forEach(scanner -> stages.add(new Stage.Cut(scanner)));
                Segmenter segmenter = new Pipeline(pre == PreTokenizer.QWEN2 ? new Normalization.Form(Normalizer.Form.NFC) : null, stages,
                        words);
                yield new VocabularyTokenizer(vocabulary, segmenter, checked(addBos, vocabulary), spacePrefix);
            }
            case "llama" -> {
                Vocabulary vocabulary = Vocabulary.of(keys);
                boolean addBos = keys.flag("add_bos_token", true);
                boolean spacePrefix = keys.flag("add_space_prefix", true);
                Normalization spell = new Normalization.Replace(" ", "\u2581");
                Normalization normalization = spacePrefix
                        ? new Normalization.Sequence(List.of(new Normalization.Prepend(" "), spell))
                        : spell;
                WordModel words = SentencePieceBpe.ofScores(vocabulary, keys.requiredFloats("scores"));
                yield new VocabularyTokenizer(vocabulary, new Pipeline(normalization, List.of(), words), checked(addBos, vocabulary),
                        spacePrefix);
            }
            default -> throw new UnsupportedTokenizerException(GgufKeys.PREFIX + "model", model, List.of("gpt2", "llama"));
        };
    }

    private static boolean checked(boolean addBos, Vocabulary vocabulary) {
        if (addBos && vocabulary.bos < 0) {
            throw new MalformedTokenizerException(GgufKeys.PREFIX + "bos_token_id", "is missing, but sequences begin with that token");
        }
        return addBos;
    }

    @Override
    public int[] encode(String text, boolean parseSpecial) {
        IdList ids = new IdList();
        (parseSpecial ? all : userDefined).cut(text, 0, text.length(), ids,
                (from, to) -> segmenter.encode(text, from, to, parseSpecial, ids));
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
        byte[] bytes = out.toByteArray();
        return Utf8.decode(bytes, bytes.length);
    }

    @Override
    public byte[] bytes(int id) {
        Objects.checkIndex(id, size());
        return vocabulary.isSpelled(id) ? segmenter.bytes(id) : vocabulary.pieces[id].getBytes(StandardCharsets.UTF_8);
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
        return eos;
    }

    @Override
    public boolean addBos() {
        return addBos;
    }

    @Override
    public boolean spacePrefix() {
        return spacePrefix;
    }

    @Override
    public Tokenizer withEos(Set<Integer> more) {
        for (int id : more) {
            if (id < 0 || id >= size()) {
                throw new IllegalArgumentException("the end token " + id + " is outside the vocabulary of " + size() + " tokens");
            }
        }
        Set<Integer> ends = new TreeSet<>(eos);
        ends.addAll(more);
        return new VocabularyTokenizer(vocabulary, segmenter, userDefined, all, addBos, spacePrefix, ends);
    }
}
