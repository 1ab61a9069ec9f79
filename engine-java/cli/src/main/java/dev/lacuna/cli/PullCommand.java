package dev.lacuna.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Fetches a model and prints where it is. */
@Command(name = "pull", description = "Fetches a model, unless it is here, and prints its path.", mixinStandardHelpOptions = true)
final class PullCommand implements Callable<Integer> {
    private final Console console;

    @Parameters(paramLabel = "NAME|SOURCE", description = "A name out of 'lacuna list', or a source such as hf:owner/repo:Q4_K_M.")
    String model = "";

    @Option(names = "--json", description = "Print one JSON object.")
    boolean json;

    PullCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws Exception {
        Path path = ModelOptions.find(console, model);
        if (json) {
            Map<String, Object> result = new LinkedHashMap<>();
            result.put("model", model);
            result.put("path", path.toString());
            if (Files.isRegularFile(path)) result.put("bytes", Files.size(path));
            Json.write(console.out(), result);
        } else {
            console.out().println(path);
        }
        return Exit.OK;
    }
}
