package dev.lacuna.ops;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** A backend as {@code ServiceLoader} finds it. */
public interface OpsProvider {
    /** Short name for messages. */
    String name();

    /** The tiers that it offers by name, best first, each with whether it can run here; never throws, never keeps anything open. */
    List<Tier> tiers();

    /**
     * Opens a tier.
     *
     * @param tier a name out of {@link #tiers}
     */
    Ops open(String tier, OpsOptions options);

    /**
     * Makes ready to measure the machine with the threads and instructions of a tier; null where nobody has written that.
     *
     * @param tier a name out of {@link #tiers} that can run here
     */
    default @Nullable MachineRates rates(String tier, OpsOptions options) {
        return null;
    }

    /**
     * One tier of a backend.
     *
     * @param name   as {@code --kernels} takes it
     * @param score  larger is faster; the best runnable one is the default
     * @param why    null if it can run here, else what is missing and the line that fixes it
     * @param detail what it would use here: ISA, vector width
     */
    record Tier(String name, int score, @Nullable String why, String detail) {
        public boolean runnable() {
            return why == null;
        }
    }
}
