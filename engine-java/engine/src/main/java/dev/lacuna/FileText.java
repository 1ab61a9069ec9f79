package dev.lacuna;

import dev.lacuna.files.Gguf;
import dev.lacuna.files.GgufView;
import dev.lacuna.files.ModelFile;
import dev.lacuna.files.Safetensors;
import dev.lacuna.model.ModelException;
import dev.lacuna.text.ChatTemplate;
import dev.lacuna.text.Tokenizer;
import java.nio.file.Files;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/** What a model's file says of text: its tokenizer and its chat template. */
final class FileText {
    private FileText() {}

    /**
     * The tokenizer, with as many tokens as the embedding has rows.
     *
     * @throws ModelException if there is none or it has other tokens than the embedding
     */
    static Tokenizer tokenizer(ModelFile file, int vocabulary) {
        Tokenizer tokenizer = tokenizer(file);
        // folders pad the embedding to a round number of rows, GGUF files pad the tokenizer with it
        boolean padded = file instanceof Safetensors && tokenizer.size() < vocabulary;
        if (tokenizer.size() != vocabulary && !padded) {
            throw new ModelException(
                    file.path().getFileName() + ": the tokenizer has " + tokenizer.size() + " tokens, the embedding " + vocabulary
                            + " rows");
        }
        return padded ? tokenizer.padded(vocabulary) : tokenizer;
    }

    /** The tokenizer as the file has it. */
    static Tokenizer tokenizer(ModelFile file) {
        return switch (file) {
            case Gguf gguf -> Tokenizer.fromGguf(gguf.metadata());
            case Safetensors folder -> folderTokenizer(folder);
            case GgufView view -> throw new IllegalArgumentException("a view of " + view.path() + " has no tokenizer of its own");
        };
    }

    private static Tokenizer folderTokenizer(Safetensors folder) {
        if (!Files.exists(folder.path().resolve("tokenizer.json"))) {
            throw new ModelException(folder.path().getFileName() + ": there is no tokenizer.json; write it with: python -c "
                    + "\"from transformers import AutoTokenizer as T; T.from_pretrained('.').save_pretrained('.')\"");
        }
        Tokenizer tokenizer = Tokenizer.fromJson(folder.json("tokenizer.json").orElseThrow(),
                folder.json("tokenizer_config.json").orElse(null));
        Set<Integer> eos = new HashSet<>();
        for (String key : new String[]{"generation_config.eos_token_id", "eos_token_id", "text_config.eos_token_id"}) {
            for (long id : ids(folder, key)) {
                if (id < 0 || id >= tokenizer.size()) throw bad(folder, key, "is " + id + ": there are " + tokenizer.size() + " tokens");
                eos.add((int) id);
            }
            if (!eos.isEmpty()) break;
        }
        return tokenizer.withEos(eos);
    }

    /** The text of the token that ends a sequence, as templates write it; empty where there is none. */
    static String eos(ModelFile file, Tokenizer tokenizer) {
        if (file instanceof Safetensors folder) {
            JsonNode named = folder.json("tokenizer_config.json").map(c -> c.get("eos_token")).orElse(null);
            if (named != null && named.isString()) return named.asString();
            if (named != null && named.path("content").isString()) return named.path("content").asString();
        } else if (file.metadata().get("tokenizer.ggml.eos_token_id") instanceof Long id && id >= 0 && id < tokenizer.size()) {
            return tokenizer.piece(id.intValue());
        }
        return tokenizer.eos().stream().sorted().findFirst().map(tokenizer::piece).orElse("");
    }

    private static long[] ids(Safetensors folder, String key) {
        return switch (folder.metadata().get(key)) {
            case null -> new long[0];
            case Long id -> new long[]{id};
            case long[] ids -> ids;
            default -> throw bad(folder, key, "is neither a token id nor a list of them");
        };
    }

    private static ModelException bad(Safetensors folder, String key, String why) {
        return new ModelException(folder.path().getFileName() + ": " + key + " " + why);
    }

    /** The chat template, if the file has one. */
    static Optional<ChatTemplate> template(ModelFile file) {
        Optional<String> text = file instanceof Safetensors folder
                ? folder.chatTemplate()
                : file.metadata().get("tokenizer.chat_template") instanceof String s ? Optional.of(s) : Optional.empty();
        return text.map(ChatTemplate::of);
    }
}
