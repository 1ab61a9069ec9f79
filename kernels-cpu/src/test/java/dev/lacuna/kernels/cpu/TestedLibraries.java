package dev.lacuna.kernels.cpu;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/** Builds of the C kernels beside that of the jar: one with tiles in memory, one with a wrong result. */
final class TestedLibraries {
    private TestedLibraries() {}

    private static final class Emulated {
        static final NativeLibrary LIBRARY = open("emulated");
    }

    private static NativeLibrary open(String name) {
        NativeTier.name();
        Path file = Path.of("target/native-build/liblacuna_" + name + ".so");
        String sanitized = System.getProperty("lacuna.native.library");
        if (sanitized != null) file = Path.of(sanitized).resolveSibling(file.getFileName());
        assumeTrue(Files.exists(file), file + " is not there: it is built with the tests");
        return NativeLibrary.at(file.toAbsolutePath());
    }

    /** The library whose wrong result is to be found. */
    static NativeLibrary faulty() {
        return open("faulty");
    }

    /** The library that runs an instruction set here: the jar's, or for AMX the one with tiles in memory; ends a test as skipped where there is none. */
    static NativeLibrary of(String isa) {
        NativeTier.name();
        NativeLibrary library = NativeLibrary.get();
        if (isa.equals("amx") && !library.isas().contains(isa)) library = Emulated.LIBRARY;
        String why = library.refusal(isa);
        assumeTrue(why == null, () -> isa + " does not run here: " + why);
        return library;
    }
}
