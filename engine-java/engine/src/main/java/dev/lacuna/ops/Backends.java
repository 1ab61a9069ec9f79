package dev.lacuna.ops;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;

/** Finds the kernels that can run here and opens the best, or the one that was asked for. */
public final class Backends {
    private final List<OpsProvider> providers = new ArrayList<>();
    private final List<String> failures = new ArrayList<>();

    private Backends() {
        providers.add(new ReferenceProvider());
        Iterator<OpsProvider> found = ServiceLoader.load(OpsProvider.class).iterator();
        while (true) {
            // a provider that cannot load is a line for `doctor`, never the end of the others
            try {
                if (!found.hasNext()) break;
                providers.add(found.next());
            } catch (ServiceConfigurationError | LinkageError e) {
                failures.add(e.getMessage());
            }
        }
    }

    /** Looks for providers on the class or module path. */
    public static Backends find() {
        return new Backends();
    }

    /** Every tier, the fastest first. */
    public List<OpsProvider.Tier> tiers() {
        return providers.stream().flatMap(p -> p.tiers().stream()).sorted(Comparator.comparingInt(OpsProvider.Tier::score).reversed())
                .toList();
    }

    /** Why providers that are there could not be loaded. */
    public List<String> failures() {
        return List.copyOf(failures);
    }

    /**
     * Opens the tier that {@code options} names, or else the fastest that runs here, of the backend that they name or of all.
     *
     * @throws UnsupportedKernelException if the tier or the backend is unknown or cannot run here
     */
    public CheckedOps open(OpsOptions options) {
        Found found = find(options);
        return new CheckedOps(found.provider.open(found.tier.name(), options));
    }

    /**
     * What the machine gives to the threads and instructions of the tier that {@link #open} would open; null where that tier cannot tell.
     *
     * @throws UnsupportedKernelException as {@link #open}
     */
    public @Nullable MachineRates rates(OpsOptions options) {
        Found found = find(options);
        return found.provider.rates(found.tier.name(), options);
    }

    private record Found(OpsProvider provider, OpsProvider.Tier tier) {}

    /**
     * The tier that {@link #open} would open.
     *
     * @throws UnsupportedKernelException as {@link #open}
     */
    public OpsProvider.Tier chosen(OpsOptions options) {
        return find(options).tier;
    }

    private Found find(OpsOptions options) {
        String backend = options.backend();
        List<OpsProvider> among = providers.stream().filter(p -> backend == null || p.name().equals(backend)).toList();
        if (among.isEmpty()) {
            throw new UnsupportedKernelException("there is no backend '" + backend + "' here; there are "
                    + providers.stream().map(OpsProvider::name).toList() + (failures.isEmpty() ? "" : "; " + failures)
                    + " (./lacuna build NAME makes those that are not built for chat)");
        }
        List<Found> all = among.stream().flatMap(p -> p.tiers().stream().map(t -> new Found(p, t)))
                .sorted(Comparator.comparingInt((Found f) -> f.tier.score()).reversed()).toList();
        String wanted = options.kernels();
        if (wanted != null) {
            Found named = all.stream().filter(f -> f.tier.name().equals(wanted)).findFirst()
                    .orElseThrow(() -> new UnsupportedKernelException(
                            "there are no kernels '" + wanted + "'; there are " + all.stream().map(f -> f.tier.name()).toList()));
            String why = named.tier.why();
            if (why != null) throw new UnsupportedKernelException("kernels '" + wanted + "' cannot run here: " + why);
            return named;
        }
        return all.stream().filter(f -> f.tier.runnable()).findFirst().orElseThrow(() -> new UnsupportedKernelException(
                "backend '" + backend + "' cannot run here: " + String.join("; ", all.stream().map(f -> f.tier.why()).toList())));
    }
}
