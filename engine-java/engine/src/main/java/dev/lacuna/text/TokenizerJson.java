package dev.lacuna.text;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** Reads Hugging Face's tokenizer.json, with what tokenizer_config.json adds to it. */
final class TokenizerJson {
    static final int MOST_TOKENS = 2 << 20;
    static final int MOST_MERGES = 4 << 20;
    private static final long MOST_BYTES = 64L << 20;
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int MOST_ADDED = 1 << 17;
    private final JsonFields file;
    private final @Nullable JsonFields config;
    private final JsonFields model;
    private final List<Specials.Rule> added = new ArrayList<>();
    private final BitSet normalized = new BitSet();

    private TokenizerJson(JsonNode file, @Nullable JsonNode config) {
        this.file = new JsonFields(file, "");
        this.config = config == null ? null : new JsonFields(config, "tokenizer_config.json");
        model = this.file.requiredObject("model");
    }

    /** The content of a JSON file of at most 64 MiB. */
    static JsonNode parse(Path path) throws IOException {
        long size = Files.size(path);
        if (size > MOST_BYTES) {
            throw new MalformedTokenizerException(path.toString(), "has " + size + " bytes; at most " + MOST_BYTES + " are possible");
        }
        try {
            return JSON.readTree(Files.readAllBytes(path));
        } catch (JacksonException malformed) {
            throw new MalformedTokenizerException(path.toString(), "is not JSON: " + malformed.getOriginalMessage());
        }
    }

    static Tokenizer read(JsonNode file, @Nullable JsonNode config) {
        return new TokenizerJson(file, config).build();
    }

    private Tokenizer build() {
        String type = type();
        JsonPipeline pipeline = new JsonPipeline(file);
        added();
        Map<String, Integer> ids = new LinkedHashMap<>();
        double[] scores = type.equals("Unigram") ? unigram(ids) : bpe(ids);
        Vocabulary vocabulary = vocabulary(ids, type);
        WordModel words = words(type, vocabulary, scores, pipeline.byteLevel);
        List<Specials.Rule> raw = new ArrayList<>();
        List<Specials.Rule> normal = new ArrayList<>();
        for (Specials.Rule rule : added) {
            Normalization normalization = pipeline.normalization;
            if (normalization != null && normalized.get(rule.id())) {
                normal.add(normalized(rule, normalization));
            } else {
                raw.add(rule);
            }
        }
        Segmenter segmenter = new Pipeline(pipeline.normalization, normal, pipeline.stages, words);
        boolean addBos = addBos();
        if (addBos && vocabulary.bos < 0) {
            throw new MalformedTokenizerException("tokenizer_config.json.bos_token", "is missing, but sequences begin with that token");
        }
        return new VocabularyTokenizer(vocabulary, segmenter, new Specials(raw, false), new Specials(raw, true), addBos,
                pipeline.spacePrefix);
    }

    private static Specials.Rule normalized(Specials.Rule rule, Normalization normalization) {
        return new Specials.Rule(rule.id(), normalization.apply(rule.text()), rule.control(), rule.singleWord(), rule.stripLeft(),
                rule.stripRight());
    }

    private String type() {
        String type = model.string("type");
        if (type == null) { // files of the first versions
            type = model.get("merges") != null ? "BPE" : model.get("unk_id") != null ? "Unigram" : "missing";
        }
        if (!type.equals("BPE") && !type.equals("Unigram")) {
            throw new UnsupportedTokenizerException("model.type", JsonFields.shown(type), List.of("BPE", "Unigram"));
        }
        return type;
    }

    private void added() {
        for (JsonNode node : file.array("added_tokens")) {
            JsonFields token = new JsonFields(node, "added_tokens");
            JsonNode given = token.get("id");
            if (given == null) {
                throw token.malformed("id", "is missing");
            }
            int id = token.integer(given, "id", MOST_TOKENS - 1);
            boolean special = token.flag("special", false);
            added.add(new Specials.Rule(id, token.requiredString("content"), special, token.flag("single_word", false),
                    token.flag("lstrip", false), token.flag("rstrip", false)));
            normalized.set(id, token.flag("normalized", !special));
            if (added.size() > MOST_ADDED) {
                throw token.malformed("id", "more than " + MOST_ADDED + " added tokens");
            }
        }
    }

    private double[] unigram(Map<String, Integer> ids) {
        IdList order = new IdList();
        List<Double> scores = new ArrayList<>();
        for (JsonNode entry : model.array("vocab")) {
            int id = order.size();
            if (!entry.isArray() || entry.size() != 2 || !entry.get(0).isString() || !entry.get(1).isNumber() || id == MOST_TOKENS) {
                throw model.malformed("vocab", "entry " + id + " is not a text and a score, or beyond the " + MOST_TOKENS + " possible");
            }
            double score = entry.get(1).asDouble();
            if (!Double.isFinite(score)) {
                throw model.malformed("vocab", "the score of entry " + id + " is not finite");
            }
            if (ids.putIfAbsent(entry.get(0).asString(), id) != null) {
                throw model.malformed("vocab", "entry " + id + " has the same text as another");
            }
            order.add(id);
            scores.add(score);
        }
        return scores.stream().mapToDouble(Double::doubleValue).toArray();
    }

    private double[] bpe(Map<String, Integer> ids) {
        JsonNode dropout = model.get("dropout");
        if (dropout != null && dropout.asDouble(1) != 0) {
            throw new UnsupportedTokenizerException("model.dropout", JsonFields.shown(dropout.toString()), List.of("none"));
        }
        for (String affix : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
            String text = model.string(affix);
            if (text != null && !text.isEmpty()) {
                throw new UnsupportedTokenizerException("model." + affix, JsonFields.shown(text), List.of("none"));
            }
        }
        JsonFields vocab = model.requiredObject("vocab");
        for (Map.Entry<String, JsonNode> entry : vocab.node().properties()) {
            ids.put(entry.getKey(), vocab.integer(entry.getValue(), JsonFields.shown(entry.getKey()), MOST_TOKENS - 1));
        }
        return new double[0];
    }

    private Vocabulary vocabulary(Map<String, Integer> ids, String type) {
        int size = 0;
        for (int id : ids.values()) {
            size = Math.max(size, id + 1);
        }
        for (Specials.Rule rule : added) {
            size = Math.max(size, rule.id() + 1);
        }
        // holes are allowed for, but a small file must not ask for a large table
        if (ids.isEmpty() || size > 2L * (ids.size() + added.size()) + 4096) {
            throw model.malformed("vocab", "has " + ids.size() + " tokens for ids up to " + (size - 1));
        }
        String[] pieces = new String[size];
        Arrays.fill(pieces, "");
        byte[] types = new byte[size];
        Arrays.fill(types, (byte) Vocabulary.UNUSED);
        BitSet inModel = new BitSet(size);
        boolean bytes = model.flag("byte_fallback", false);
        ids.forEach((piece, id) -> {
            if (inModel.get(id)) {
                throw model.malformed("vocab", "two tokens have the id " + id);
            }
            pieces[id] = piece;
            types[id] = (byte) (bytes && isByte(piece) ? Vocabulary.BYTE : Vocabulary.NORMAL);
            inModel.set(id);
        });
        for (Specials.Rule rule : added) {
            // the added text counts where the two differ; the model then cannot make the token
            if (!pieces[rule.id()].equals(rule.text())) {
                inModel.clear(rule.id());
            }
            pieces[rule.id()] = rule.text();
            types[rule.id()] = (byte) (rule.control() ? Vocabulary.CONTROL : Vocabulary.USER_DEFINED);
        }
        PieceIndex index = new PieceIndex(pieces);
        // the model's tokens first: of two with one text the model's is the one to find
        for (int pass = 0; pass < 2; pass++) {
            for (int id = 0; id < size; id++) {
                if (inModel.get(id) == (pass == 0) && types[id] != Vocabulary.UNUSED) {
                    index.add(id);
                }
            }
        }
        return new Vocabulary(pieces, types, index, inModel, bos(index), unknown(index, type, size), eos(index));
    }

    private static boolean isByte(String piece) {
        return piece.length() == 6 && piece.startsWith("<0x") && piece.charAt(5) == '>' && Character.digit(piece.charAt(3), 16) >= 0
                && Character.digit(piece.charAt(4), 16) >= 0;
    }

    private int unknown(PieceIndex index, String type, int size) {
        if (type.equals("Unigram")) {
            JsonNode id = model.get("unk_id");
            return id == null ? -1 : model.integer(id, "unk_id", size - 1);
        }
        String text = model.string("unk_token");
        return text == null ? -1 : index.find(text);
    }

    private WordModel words(String type, Vocabulary vocabulary, double[] scores, boolean byteLevel) {
        boolean bytes = model.flag("byte_fallback", false);
        if (type.equals("Unigram")) {
            if (byteLevel) {
                throw new UnsupportedTokenizerException("pre_tokenizer.type", "ByteLevel with Unigram", List.of("ByteLevel with BPE"));
            }
            double[] all = Arrays.copyOf(scores, vocabulary.size());
            return new Unigram(vocabulary, all, bytes);
        }
        MergeTable merges = merges(vocabulary);
        boolean whole = model.flag("ignore_merges", false);
        if (byteLevel) {
            return new ByteLevelBpe(vocabulary, merges, whole);
        }
        if (whole) {
            throw new UnsupportedTokenizerException("model.ignore_merges", "true without ByteLevel", List.of("true with ByteLevel"));
        }
        return SentencePieceBpe.ofMerges(vocabulary, merges, model.flag("fuse_unk", false));
    }

    private MergeTable merges(Vocabulary vocabulary) {
        JsonNode given = model.get("merges");
        if (given == null || !given.isArray() || given.size() > MOST_MERGES) {
            throw model.malformed("merges", "must be an array of at most " + MOST_MERGES + " merges");
        }
        MergeTable table = new MergeTable(given.size());
        int rank = 0;
        for (JsonNode merge : given) {
            if (merge.isString()) {
                String line = merge.asString();
                int space = line.indexOf(' ');
                if (space < 0 || line.indexOf(' ', space + 1) >= 0) {
                    throw Vocabulary.malformed("model.merges", rank, line, "is not two tokens with a space between them");
                }
                vocabulary.add(table, "model.merges", rank, line, 0, space, line, space + 1, line.length());
            } else if (merge.isArray() && merge.size() == 2 && merge.get(0).isString() && merge.get(1).isString()) {
                String left = merge.get(0).asString();
                String right = merge.get(1).asString();
                vocabulary.add(table, "model.merges", rank, left, 0, left.length(), right, 0, right.length());
            } else {
                throw Vocabulary.malformed("model.merges", rank, "", "is neither a text nor two texts");
            }
            rank++;
        }
        return table;
    }

    /** The sequence's first token in the post-processor, if that is a special token. */
    private @Nullable String processorBos(@Nullable JsonFields processor, int depth) {
        if (processor == null || depth > 4) {
            return null;
        }
        if ("Sequence".equals(processor.string("type"))) {
            for (JsonNode part : processor.array("processors")) {
                String bos = processorBos(new JsonFields(part, processor.key("processors")), depth + 1);
                if (bos != null) {
                    return bos;
                }
            }
            return null;
        }
        if ("TemplateProcessing".equals(processor.string("type"))) {
            for (JsonNode first : processor.array("single")) {
                JsonFields token = new JsonFields(first, processor.key("single")).object("SpecialToken");
                return token == null ? null : token.string("id");
            }
        }
        return null;
    }

    private @Nullable String configured(String name) {
        JsonNode value = config == null ? null : config.get(name);
        if (value != null && value.isObject() && config != null) {
            return config.requiredObject(name).string("content");
        }
        return config == null ? null : config.string(name);
    }

    private int bos(PieceIndex index) {
        String text = configured("bos_token");
        if (text == null) {
            text = processorBos(file.object("post_processor"), 0);
        }
        return text == null ? -1 : index.find(text);
    }

    private Set<Integer> eos(PieceIndex index) {
        String text = configured("eos_token");
        int id = text == null ? -1 : index.find(text);
        return id < 0 ? Set.of() : Set.of(id);
    }

    private boolean addBos() {
        boolean processed = processorBos(file.object("post_processor"), 0) != null;
        return config == null ? processed : config.flag("add_bos_token", processed);
    }
}
