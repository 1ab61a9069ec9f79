package dev.lacuna.ops;

import java.util.List;

/** Offers the fake device to whoever asks for it by name, so that whole models run on it. */
public final class FakeProvider implements OpsProvider {
    @Override
    public String name() {
        return "fake";
    }

    @Override
    public List<Tier> tiers() {
        return List.of(new Tier("fake", -1, null, "captures and replays, for tests"));
    }

    @Override
    public Ops open(String tier, OpsOptions options) {
        return new FakeDevice(options.threadsOrAll(), true);
    }
}
