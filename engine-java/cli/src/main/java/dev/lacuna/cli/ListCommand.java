package dev.lacuna.cli;

import dev.lacuna.hub.Cached;
import dev.lacuna.hub.CatalogueEntry;
import dev.lacuna.hub.ModelStore;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Lists the catalogue and what is cached. */
@Command(name = "list", description = "Lists the models that have a name, and what is on this machine.", mixinStandardHelpOptions = true)
final class ListCommand implements Callable<Integer> {
    private final Console console;

    @Option(names = "--json", description = "Print one JSON object.")
    boolean json;

    ListCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        ModelStore store = console.store().get();
        List<CatalogueEntry> catalogue = store.catalogue().entries();
        List<Cached> cached = store.list();
        if (json) {
            Map<String, Object> all = new LinkedHashMap<>();
            all.put("home", store.home().toString());
            all.put("catalogue", catalogue.stream().map(e -> entry(store, e)).toList());
            all.put("cached", cached.stream().map(ListCommand::cached).toList());
            Json.write(console.out(), all);
            return Exit.OK;
        }
        int width = catalogue.stream().mapToInt(e -> e.name().length()).max().orElse(0);
        for (CatalogueEntry e : catalogue) {
            boolean here = store.cached(e.name()).isPresent();
            console.out().printf("%s %-" + width + "s  %8s  %-5s  %s%n", here ? "*" : " ", e.name(), e.size(), e.use(), e.licence());
        }
        List<Cached> others = new ArrayList<>(cached);
        others.removeIf(c -> store.catalogue().lookUp(c.name()).isPresent());
        for (Cached c : others) console.out().printf("* %s  %s  from %s%n", c.name(), Size.of(c.bytes()), c.source());
        console.notice("* is on this machine; the cache folder is " + store.home());
        return Exit.OK;
    }

    private static Map<String, Object> entry(ModelStore store, CatalogueEntry e) {
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("name", e.name());
        row.put("title", e.title());
        row.put("family", e.family());
        row.put("licence", e.licence());
        row.put("bytes", e.bytes());
        row.put("approximate", e.approximate());
        row.put("use", e.use());
        row.put("sources", e.sources());
        row.put("aliases", e.aliases());
        row.put("sha256", e.sha256());
        Optional<Path> path = store.cached(e.name());
        row.put("path", path.map(Path::toString).orElse(null));
        return row;
    }

    private static Map<String, Object> cached(Cached c) {
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("name", c.name());
        row.put("path", c.path().toString());
        row.put("bytes", c.bytes());
        row.put("source", c.source());
        row.put("sha256", c.sha256());
        return row;
    }
}
