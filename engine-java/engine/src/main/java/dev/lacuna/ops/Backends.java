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
     * Opens the tier that {@code options} names, or else the fastest that runs here.
     *
     * @throws UnsupportedKernelException if the tier is unknown or cannot run here
     */
    public CheckedOps open(OpsOptions options) {
        Found found = find(options);
        return new CheckedOps(found.provider.open(found.tier, options));
    }

    /**
     * What the machine gives to the threads and instructions of the tier that {@link #open} would open; null where that tier cannot tell.
     *
     * @throws UnsupportedKernelException as {@link #open}
     */
    public @Nullable MachineRates rates(OpsOptions options) {
        Found found = find(options);
        return found.provider.rates(found.tier, options);
    }

    private record Found(OpsProvider provider, String tier) {}

    private Found find(OpsOptions options) {
        String wanted = options.kernels();
        String tier = wanted != null ? wanted : tiers().stream().filter(OpsProvider.Tier::runnable).findFirst().orElseThrow().name();
        for (OpsProvider p : providers) {
            for (OpsProvider.Tier t : p.tiers()) {
                if (!t.name().equals(tier)) continue;
                if (t.why() != null) throw new UnsupportedKernelException("kernels '" + tier + "' cannot run here: " + t.why());
                return new Found(p, tier);
            }
        }
        throw new UnsupportedKernelException(
                "there are no kernels '" + tier + "'; there are " + tiers().stream().map(OpsProvider.Tier::name).toList());
    }
}
