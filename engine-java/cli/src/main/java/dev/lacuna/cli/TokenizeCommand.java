package dev.lacuna.cli;

import dev.lacuna.Lacuna;
import dev.lacuna.files.ModelFile;
import dev.lacuna.text.Tokenizer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Shows how a model cuts a text. */
@Command(name = "tokenize", description = "Prints the ids and pieces of a text.", mixinStandardHelpOptions = true)
final class TokenizeCommand implements Callable<Integer> {
    private final Console console;

    @Parameters(paramLabel = "MODEL", description = "Name, source or path.")
    String model = "";

    @Option(names = "--text", paramLabel = "TEXT", description = "The text; without it and --text-file, standard input.")
    @Nullable
    String text;

    @Option(names = "--text-file", paramLabel = "FILE", description = "UTF-8, taken as it is (-: standard input).")
    @Nullable
    Path file;

    @Option(names = "--specials", description = "Parse special tokens in the text and put the beginning-of-sequence token in front where the model wants it, "
            + "as 'generate' does.")
    boolean specials;

    @Option(names = "--json", description = "Print one JSON object.")
    boolean json;

    TokenizeCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws Exception {
        if (text != null && file != null) throw new Exit.UsageException("--text and --text-file exclude each other");
        String words = text != null ? text : console.text(file != null ? file : Path.of("-"));
        try (ModelFile opened = ModelFile.open(ModelOptions.find(console, model))) {
            Tokenizer tokenizer = Lacuna.tokenizer(opened);
            int[] ids = tokenizer.encode(words, specials);
            if (specials && tokenizer.addBos() && (ids.length == 0 || ids[0] != tokenizer.bos())) ids = withBos(tokenizer.bos(), ids);
            print(tokenizer, ids);
        }
        return Exit.OK;
    }

    private static int[] withBos(int bos, int[] ids) {
        int[] all = new int[ids.length + 1];
        all[0] = bos;
        System.arraycopy(ids, 0, all, 1, ids.length);
        return all;
    }

    private void print(Tokenizer tokenizer, int[] ids) {
        if (json) {
            Map<String, Object> result = new LinkedHashMap<>();
            result.put("model", model);
            result.put("tokens", ids.length);
            result.put("ids", ids);
            result.put("pieces", Arrays.stream(ids).mapToObj(tokenizer::piece).toList());
            Json.write(console.out(), result);
            return;
        }
        StringBuilder lines = new StringBuilder();
        for (int id : ids) lines.append(id).append('\t').append(tokenizer.piece(id)).append('\n');
        console.out().print(lines);
        console.out().flush();
        console.notice(ids.length + " tokens");
    }
}
