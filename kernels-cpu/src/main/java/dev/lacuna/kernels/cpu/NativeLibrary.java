package dev.lacuna.kernels.cpu;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The C kernels: the library of the jar for this platform, loaded once for the process and never unloaded. It is unpacked to a temporary file that is
 * deleted at once. System property {@code lacuna.native.library} names another build of it, such as one with sanitizers.
 */
final class NativeLibrary implements NativeMemory {
    private static final int VERSION = 2;
    /** Tiers by number, each a superset of the one before. */
    static final List<String> ISAS = List.of("avx2", "avx512", "avx512bf16", "amx");
    /** What a processor has to have for each. */
    private static final List<String> NEEDS = List.of("AVX2, FMA and F16C", "AVX-512 F, BW, DQ, VL and VNNI", "AVX-512 BF16",
            "AMX tiles, INT8 and BF16");

    private static final class Loaded {
        static final Result RESULT = load();
    }

    private record Result(@Nullable NativeLibrary library, String why) {}

    private final SymbolLookup symbols;
    private final MethodHandle kernels;
    private final MethodHandle tileBytes;
    private final MethodHandle scratchBytes;
    private final MethodHandle map;
    private final MethodHandle unmap;
    private final MethodHandle forget;
    private final List<String> isas = new ArrayList<>();
    private final Map<String, NativeKernels> byIsa = new ConcurrentHashMap<>();
    private final Map<String, String> refused = new LinkedHashMap<>();
    private final Set<String> tested = new HashSet<>();

    private NativeLibrary(SymbolLookup symbols) {
        this.symbols = symbols;
        MethodHandle version = bind(symbols, "lacuna_version", FunctionDescriptor.of(ValueLayout.JAVA_INT));
        MethodHandle runs = bind(symbols, "lacuna_runs", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
        kernels = bind(symbols, "lacuna_kernels", FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
        tileBytes = bind(symbols, "lacuna_tile_bytes", longs(3));
        scratchBytes = bind(symbols, "lacuna_scratch_bytes", longs(4));
        map = bind(symbols, "lacuna_map", longs(1));
        unmap = bind(symbols, "lacuna_unmap", longs(2));
        forget = bind(symbols, "lacuna_forget", longs(2));
        int found = (int) call(version);
        if (found != VERSION) throw new IllegalStateException("the native library has interface " + found + ", not " + VERSION);
        for (int i = 0; i < ISAS.size(); i++) {
            switch ((int) call(runs, i)) {
                case 1 -> isas.add(ISAS.get(i));
                case 0 -> refused.put(ISAS.get(i), "the processor has no " + NEEDS.get(i));
                default -> refused.put(ISAS.get(i), "the system does not let this process use " + NEEDS.get(i));
            }
        }
    }

    /** Another build than that of the process, for tests. */
    static NativeLibrary at(Path file) {
        return new NativeLibrary(SymbolLookup.libraryLookup(file, Arena.global()));
    }

    private static FunctionDescriptor longs(int n) {
        ValueLayout[] arguments = new ValueLayout[n];
        Arrays.fill(arguments, ValueLayout.JAVA_LONG);
        return FunctionDescriptor.of(ValueLayout.JAVA_LONG, arguments);
    }

    private static MethodHandle bind(SymbolLookup symbols, String name, FunctionDescriptor type) {
        return Linker.nativeLinker().downcallHandle(symbols.findOrThrow(name), type);
    }

    private static Object call(MethodHandle f, Object... arguments) {
        try {
            return f.invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw failure(e);
        }
    }

    /** What a downcall throws is no checked exception. */
    static RuntimeException failure(Throwable e) {
        if (e instanceof Error error) throw error;
        return e instanceof RuntimeException r ? r : new IllegalStateException(e);
    }

    private static Result load() {
        String os = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
        String cpu = System.getProperty("os.arch", "");
        if (!os.equals("linux") || !cpu.equals("amd64")) return new Result(null, "there are no C kernels for " + os + " on " + cpu);
        String other = System.getProperty("lacuna.native.library");
        try {
            return result(other == null ? unpacked() : SymbolLookup.libraryLookup(Path.of(other), Arena.global()));
        } catch (IllegalCallerException e) {
            return new Result(null, "native access is denied: add --enable-native-access=ALL-UNNAMED to the java command");
        } catch (IOException | RuntimeException | LinkageError e) {
            return new Result(null, "the C kernels cannot be loaded: " + e);
        }
    }

    private static Result result(@Nullable SymbolLookup symbols) {
        if (symbols == null) return new Result(null, "this jar was built without C kernels: install gcc and cmake and build it again");
        NativeLibrary library = new NativeLibrary(symbols);
        return library.best() == null ? new Result(null, "of the C kernels none runs: " + library.refused) : new Result(library, "");
    }

    /** The jar's library, or null if it has none. */
    private static @Nullable SymbolLookup unpacked() throws IOException {
        try (InputStream in = NativeLibrary.class.getResourceAsStream("/native/linux-x86_64/liblacuna.so")) {
            if (in == null) return null;
            Path file = Files.createTempFile("lacuna", ".so");
            try {
                Files.copy(in, file, StandardCopyOption.REPLACE_EXISTING);
                return SymbolLookup.libraryLookup(file, Arena.global());
            } finally {
                Files.delete(file);
            }
        }
    }

    /** Why there are no C kernels here, or null. */
    static @Nullable String missing() {
        Result r = Loaded.RESULT;
        return r.library == null ? r.why : null;
    }

    /** The library; only where {@link #missing} is null. */
    static NativeLibrary get() {
        return Objects.requireNonNull(Loaded.RESULT.library);
    }

    /** The tiers that the processor has, best last, without those that failed their self-test. */
    synchronized List<String> isas() {
        return List.copyOf(isas);
    }

    /** A tier's kernels, the same for every model: the virtual machine makes a class for each handle that is called often. */
    NativeKernels kernels(String isa) {
        return byIsa.computeIfAbsent(isa, i -> new NativeKernels(table(i), i));
    }

    /** Why the other tiers do not run here. */
    synchronized Map<String, String> refused() {
        return new LinkedHashMap<>(refused);
    }

    /** The best tier that passes its self-test, or null. */
    synchronized @Nullable String best() {
        while (!isas.isEmpty()) {
            String last = isas.getLast();
            if (refusal(last) == null) return last;
        }
        return null;
    }

    /** Why a tier does not run here, or null. Its self-test is made when it is first asked for, since each takes some milliseconds. */
    synchronized @Nullable String refusal(String isa) {
        if (isas.contains(isa) && tested.add(isa)) {
            String why = NativeSelfTest.failure(this, isa);
            if (why != null) {
                isas.remove(isa);
                refused.put(isa, why);
            }
        }
        return isas.contains(isa) ? null : refused.getOrDefault(isa, "there are " + ISAS);
    }

    /** The table of a tier's kernels. */
    MemorySegment table(String isa) {
        return ((MemorySegment) call(kernels, ISAS.indexOf(isa))).reinterpret(NativeKernels.COUNT * ValueLayout.ADDRESS.byteSize());
    }

    /** A function that each tier has its own of, of whole numbers. */
    MethodHandle tiered(String name, String isa, int arguments) {
        return bind(symbols, name + "_" + isa, longs(arguments));
    }

    /** Bytes of 16 placed rows. */
    long tileBytes(NativeFormat format, int cols) {
        return (long) call(tileBytes, (long) format.code(), (long) format.group(), (long) cols);
    }

    /** Bytes of scratch that a thread needs. */
    long scratchBytes(int cols, int rows, int queries, int headSize) {
        return (long) call(scratchBytes, (long) cols, (long) rows, (long) queries, (long) headSize);
    }

    @Override
    public MemorySegment allocate(long bytes, Arena arena) {
        return NativeMemory.plain(bytes, arena);
    }

    /** Zeroed memory on large pages where the system has some, as long as the arena lives. */
    @Override
    public MemorySegment weights(long bytes, Arena arena) {
        long at = (long) call(map, bytes);
        if (at == 0) throw new OutOfMemoryError("no " + bytes + " bytes for weights outside the heap");
        return MemorySegment.ofAddress(at).reinterpret(bytes, arena, s -> call(unmap, s.address(), bytes));
    }

    /** Lets go of the pages of a file that was mapped, which are read again should anyone ask. */
    void forget(MemorySegment mapped) {
        if (mapped.isMapped()) call(forget, mapped.address(), mapped.byteSize());
    }
}
