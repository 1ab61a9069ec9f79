package dev.lacuna.text;

import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** The normalizer, the pre-tokenizer and the decoder of a tokenizer.json. */
final class JsonPipeline {
    private static final int DEEPEST = 4;
    private static final int LONGEST_REPLACEMENT = 64;
    private static final List<String> NORMALIZERS = List.of("NFC", "NFD", "NFKC", "NFKD", "Prepend", "Append", "Replace", "Strip",
            "Lowercase",
            "StripAccents",
            "Precompiled", "Sequence");
    private static final List<String> PRE_TOKENIZERS = List.of("ByteLevel", "Metaspace", "Split", "Digits", "Punctuation",
            "WhitespaceSplit", "Sequence");
    private static final List<String> DECODERS = List.of("ByteLevel", "Metaspace", "ByteFallback", "Replace", "Strip", "Fuse", "Sequence");

    final @Nullable Normalization normalization;
    final List<Stage> stages = new ArrayList<>();
    /** Whether words are spelled in bytes. */
    boolean byteLevel;
    /** Whether the decoder takes a space away from the front. */
    boolean spacePrefix;

    JsonPipeline(JsonFields file) {
        JsonFields normalizer = file.object("normalizer");
        normalization = normalizer == null ? null : normalization(normalizer, 0);
        JsonFields preTokenizer = file.object("pre_tokenizer");
        if (preTokenizer != null) {
            stages(preTokenizer, 0);
        }
        JsonFields decoder = file.object("decoder");
        if (decoder != null) {
            decoder(decoder, 0);
        }
    }

    private static void nesting(JsonFields fields, int depth) {
        if (depth > DEEPEST) {
            throw fields.malformed("type", "sequences are nested deeper than " + DEEPEST + " levels");
        }
    }

    private static Stream<JsonFields> parts(JsonFields sequence, String name) {
        List<JsonFields> parts = new ArrayList<>();
        for (JsonNode part : sequence.array(name)) {
            parts.add(new JsonFields(part, sequence.key(name)));
        }
        if (parts.size() > 64) {
            throw sequence.malformed(name, "has " + parts.size() + " parts; at most 64 are possible");
        }
        return parts.stream();
    }

    private static Normalization normalization(JsonFields fields, int depth) {
        nesting(fields, depth);
        String type = fields.requiredString("type");
        return switch (type) {
            case "NFC", "NFD", "NFKC", "NFKD" -> new Normalization.Form(Normalizer.Form.valueOf(type));
            case "Prepend" -> new Normalization.Prepend(text(fields, "prepend"));
            case "Append" -> new Normalization.Append(text(fields, "append"));
            case "Strip" -> new Normalization.Strip(fields.flag("strip_left", true), fields.flag("strip_right", true));
            case "Lowercase" -> new Normalization.Lowercase();
            case "StripAccents" -> new Normalization.StripAccents();
            case "Precompiled" -> {
                String map = fields.string("precompiled_charsmap");
                yield map == null || map.isEmpty() ? new Normalization.Sequence(List.of()) : Charsmap.of(map);
            }
            case "Replace" -> replace(fields);
            case "Sequence" ->
                new Normalization.Sequence(parts(fields, "normalizers").map(part -> normalization(part, depth + 1)).toList());
            default -> throw new UnsupportedTokenizerException(fields.key("type"), JsonFields.shown(type), NORMALIZERS);
        };
    }

    private static String text(JsonFields fields, String name) {
        String text = fields.requiredString(name);
        if (text.length() > LONGEST_REPLACEMENT) {
            throw fields.malformed(name, "has " + text.length() + " characters; at most " + LONGEST_REPLACEMENT + " are possible");
        }
        return text;
    }

    private static Normalization replace(JsonFields fields) {
        JsonFields pattern = fields.requiredObject("pattern");
        String content = text(fields, "content");
        if (pattern.get("Regex") != null) {
            String regex = pattern.requiredString("Regex");
            if (List.of(" {2,}", "  +").contains(regex)) {
                return new Normalization.ReplaceSpaces(content);
            }
            throw new UnsupportedTokenizerException(pattern.key("Regex"), JsonFields.shown(regex), List.of(" {2,}"));
        }
        String old = pattern.requiredString("String");
        if (old.isEmpty()) {
            throw pattern.malformed("String", "is empty");
        }
        return new Normalization.Replace(old, content);
    }

    private void stages(JsonFields fields, int depth) {
        nesting(fields, depth);
        String type = fields.requiredString("type");
        if (byteLevel) {
            throw new UnsupportedTokenizerException(fields.key("type"), JsonFields.shown(type) + " after ByteLevel",
                    List.of("ByteLevel as the last"));
        }
        switch (type) {
            case "ByteLevel" -> {
                if (fields.flag("add_prefix_space", true)) {
                    stages.add(new Stage.Spell(' ', Stage.Prefix.ALWAYS));
                    spacePrefix = stages.size() == 1;
                }
                if (fields.flag("use_regex", true)) {
                    cut(Words.GPT2);
                }
                byteLevel = true;
            }
            case "Metaspace" -> {
                stages.add(new Stage.Spell(metaspace(fields), prefix(fields)));
                if (fields.flag("split", true)) {
                    cut(Words.FROM_METASPACE);
                }
            }
            case "Digits" -> cut(fields.flag("individual_digits", false) ? Words.DIGIT : Words.NUMBERS);
            case "Punctuation" -> {
                String behavior = fields.string("behavior");
                cut(switch (behavior == null ? "Isolated" : behavior) {
                    case "Isolated" -> Words.PUNCTUATION;
                    case "Contiguous" -> Words.PUNCTUATIONS;
                    default -> throw new UnsupportedTokenizerException(fields.key("behavior"), JsonFields.shown(String.valueOf(behavior)),
                            List.of("Isolated", "Contiguous"));
                });
            }
            case "WhitespaceSplit" -> stages.add(new Stage.DropSpace());
            case "Split" -> split(fields);
            case "Sequence" -> parts(fields, "pretokenizers").forEach(part -> stages(part, depth + 1));
            default -> throw new UnsupportedTokenizerException(fields.key("type"), JsonFields.shown(type), PRE_TOKENIZERS);
        }
    }

    private void cut(Words scanner) {
        // digits apart and then GPT-2's expression is one scanner
        int last = stages.size() - 1;
        if (scanner == Words.GPT2 && last >= 0 && stages.get(last).equals(new Stage.Cut(Words.DIGIT))) {
            stages.set(last, new Stage.Cut(Words.GPT2_DIGITS));
        } else {
            stages.add(new Stage.Cut(scanner));
        }
    }

    private static char metaspace(JsonFields fields) {
        String text = fields.string("replacement");
        if (text != null && !text.equals("\u2581")) {
            throw new UnsupportedTokenizerException(fields.key("replacement"), JsonFields.shown(text), List.of("\u2581"));
        }
        return Words.METASPACE;
    }

    private static Stage.Prefix prefix(JsonFields fields) {
        String scheme = fields.string("prepend_scheme");
        if (scheme == null) {
            return fields.flag("add_prefix_space", true) ? Stage.Prefix.ALWAYS : Stage.Prefix.NEVER;
        }
        return switch (scheme) {
            case "always" -> Stage.Prefix.ALWAYS;
            case "first" -> Stage.Prefix.FIRST;
            case "never" -> Stage.Prefix.NEVER;
            default -> throw new UnsupportedTokenizerException(fields.key("prepend_scheme"), JsonFields.shown(scheme),
                    List.of("always", "first", "never"));
        };
    }

    private void split(JsonFields fields) {
        JsonFields pattern = fields.requiredObject("pattern");
        String behavior = fields.requiredString("behavior");
        boolean invert = fields.flag("invert", false);
        if (pattern.get("Regex") == null) {
            String text = pattern.requiredString("String");
            if (!text.equals(" ") || !behavior.equals("MergedWithPrevious") || invert) {
                throw new UnsupportedTokenizerException(pattern.key("String"),
                        JsonFields.shown(text) + "\" with behavior \"" + JsonFields.shown(behavior),
                        List.of("one space with MergedWithPrevious"));
            }
            cut(Words.THROUGH_SPACE);
            return;
        }
        String regex = canonical(pattern.requiredString("Regex"));
        Words words = Arrays.stream(Words.values()).filter(known -> regex.equals(known.expression())).findFirst()
                .orElseThrow(() -> new UnsupportedTokenizerException(pattern.key("Regex"), JsonFields.shown(regex),
                        Arrays.stream(Words.values()).map(Words::expression).filter(java.util.Objects::nonNull).toList()));
        // these expressions match every character, so that keeping the matches and isolating them is the same
        boolean keepsMatches = behavior.equals("Removed") && invert && words.matchesEverything();
        if (!keepsMatches && !(behavior.equals("Isolated") && !invert)) {
            throw new UnsupportedTokenizerException(fields.key("behavior"), JsonFields.shown(behavior),
                    List.of("Isolated", "Removed inverted"));
        }
        cut(words);
    }

    /** The spelling that {@link Words#expression} has, of expressions that match the same. */
    private static String canonical(String regex) {
        return switch (regex) {
            case "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
                    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+" ->
                String.valueOf(Words.LLAMA3.expression());
            case "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+" ->
                String.valueOf(Words.GPT2.expression());
            case "\\d" -> String.valueOf(Words.DIGIT.expression());
            // DeepSeek writes its line ends as they are
            default -> regex.replace("\r", "\\r").replace("\n", "\\n");
        };
    }

    private void decoder(JsonFields fields, int depth) {
        nesting(fields, depth);
        String type = fields.requiredString("type");
        switch (type) {
            case "ByteLevel", "ByteFallback", "Fuse" -> {
            }
            case "Metaspace" -> spacePrefix = prefix(fields) != Stage.Prefix.NEVER;
            case "Replace" -> {
                JsonFields pattern = fields.requiredObject("pattern");
                if (!"\u2581".equals(pattern.string("String")) || !" ".equals(fields.string("content"))) {
                    throw new UnsupportedTokenizerException(pattern.key("String"),
                            JsonFields.shown(String.valueOf(pattern.string("String"))),
                            List.of("\u2581 by a space"));
                }
            }
            case "Strip" -> {
                if (!" ".equals(fields.string("content"))) {
                    throw new UnsupportedTokenizerException(fields.key("content"),
                            JsonFields.shown(String.valueOf(fields.string("content"))),
                            List.of("one space"));
                }
                JsonNode start = fields.get("start");
                spacePrefix = start != null && fields.integer(start, "start", 1) == 1;
            }
            case "Sequence" -> parts(fields, "decoders").forEach(part -> decoder(part, depth + 1));
            default -> throw new UnsupportedTokenizerException(fields.key("type"), JsonFields.shown(type), DECODERS);
        }
    }
}
