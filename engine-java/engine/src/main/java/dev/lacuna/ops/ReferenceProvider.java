package dev.lacuna.ops;

import java.util.List;

/** Offers the oracle of the tests to whoever asks for it by name. */
final class ReferenceProvider implements OpsProvider {
    @Override
    public String name() {
        return "reference";
    }

    @Override
    public List<Tier> tiers() {
        return List.of(new Tier("reference", 0, null, "double precision, slow"));
    }

    @Override
    public Ops open(String tier, OpsOptions options) {
        return new ReferenceOps(options.threadsOrAll());
    }
}
