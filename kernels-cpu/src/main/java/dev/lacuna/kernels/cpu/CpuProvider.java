package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.MachineRates;
import dev.lacuna.ops.Ops;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.OpsProvider;
import dev.lacuna.ops.UnsupportedKernelException;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Offers {@code native}, if the jar has C kernels for this processor, {@code vector}, if the Vector API is there and has registers of at least 128 bits,
 * and {@code plain}, which needs nothing.
 */
public final class CpuProvider implements OpsProvider {
    static final String NATIVE = "native";
    static final String VECTOR = "vector";
    static final String PLAIN = "plain";
    static final String FLAG = "add --add-modules jdk.incubator.vector to the java command";

    @Override
    public String name() {
        return "cpu";
    }

    /** Why the Vector API cannot be used, or null. Only after this may a class be touched that links it. */
    private static @Nullable String missing() {
        if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) return FLAG;
        return Lanes.BITS >= 128
                ? null
                : "the Vector API has registers of " + Lanes.BITS + " bits here: run on a processor with at least 128";
    }

    @Override
    public List<Tier> tiers() {
        String why = missing();
        String noNative = NativeLibrary.missing();
        return List.of(
                new Tier(NATIVE, 300, noNative, noNative == null ? detail(NativeLibrary.get()) : "C"),
                new Tier(VECTOR, 200, why, why == null ? "Vector API, " + Lanes.BITS + " bits" : "Vector API"),
                new Tier(PLAIN, 100, null, "plain Java"));
    }

    private static String detail(NativeLibrary library) {
        StringBuilder s = new StringBuilder("C, ").append(String.join(", ", library.isas()));
        library.refused().forEach((isa, why) -> s.append("; not ").append(isa).append(": ").append(why));
        return s.toString();
    }

    @Override
    public Ops open(String tier, OpsOptions options) {
        Team team = Team.of(options.threadsOrAll());
        if (tier.equals(PLAIN)) return new CpuOps(new PlainKernels(), team);
        if (tier.equals(NATIVE)) return openNative(options, team);
        String why = missing();
        if (!tier.equals(VECTOR) || why != null) throw new UnsupportedKernelException("kernels '" + tier + "' cannot run here: " + why);
        return new CpuOps(new VectorKernels(), team);
    }

    /** Of the C kernels alone: in Java a loop's rate says more of the compiler than of the machine. */
    @Override
    public @Nullable MachineRates rates(String tier, OpsOptions options) {
        if (!tier.equals(NATIVE)) return null;
        NativeLibrary library = library();
        return new NativeRates(library, isa(library, options), Team.of(options.threadsOrAll()));
    }

    private static NativeLibrary library() {
        String why = NativeLibrary.missing();
        if (why != null) throw new UnsupportedKernelException("kernels 'native' cannot run here: " + why);
        return NativeLibrary.get();
    }

    private static Ops openNative(OpsOptions options, Team team) {
        NativeLibrary library = library();
        return new NativeOps(library, library.kernels(isa(library, options)), team, library);
    }

    private static String isa(NativeLibrary library, OpsOptions options) {
        String isa = options.isa() == null ? Objects.requireNonNull(library.best()) : options.isa();
        String why = library.refusal(isa);
        if (why != null) throw new UnsupportedKernelException("kernels for '" + isa + "' cannot run here: " + why);
        return isa;
    }
}
