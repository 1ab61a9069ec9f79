package dev.lacuna.cli;

import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Removes a model from the cache. */
@Command(name = "rm", description = "Removes a model from the cache folder; files elsewhere stay.", mixinStandardHelpOptions = true)
final class RmCommand implements Callable<Integer> {
    private final Console console;

    @Parameters(paramLabel = "NAME|SOURCE", description = "A name out of 'lacuna list', or what was pulled.")
    String model = "";

    @Option(names = "--json", description = "Print one JSON object.")
    boolean json;

    RmCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        boolean removed = console.store().get().remove(model);
        if (json) Json.write(console.out(), Map.of("model", model, "removed", removed));
        if (!removed) {
            console.notice(model + " is not in " + console.store().get().home() + "; 'lacuna list' shows what is");
            return Exit.NO_MODEL;
        }
        console.notice("removed " + model);
        return Exit.OK;
    }
}
