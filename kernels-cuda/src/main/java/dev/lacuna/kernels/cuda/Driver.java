package dev.lacuna.kernels.cuda;

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
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The driver's library, looked at without JCuda, whose first touch of a missing one would end in a {@link LinkageError}: is it there, does it see a
 * device, do these kernels run on it.
 */
final class Driver {
    /** System property: the path of the emulated {@code libcuda.so.1}. Without it the emulated device is refused. */
    static final String EMULATOR = "lacuna.cuda.emulator";
    /** What the emulated device calls itself. */
    static final String EMULATED_NAME = "Lacuna emulator";
    static final String LEAST_DRIVER = "a driver for CUDA 11.0 or newer (450 or newer on Linux; sparse tensor cores: CUDA 12.5, 555)";
    /** Where the kernels are in the jar. */
    static final String KERNELS = "/native/cuda/";

    private static final int LEAST_CUDA = 11000;
    private static final int LEAST_CAPABILITY = 8;
    private static final int MAJOR = 75;
    private static final int MINOR = 76;
    /** JCuda's own library, which it unpacks under this name and takes from there when it is there already. */
    private static final String JCUDA = "libJCudaDriver-12.6.0-linux-x86_64.so";

    /** A driver stays loaded for as long as the process lives: closing one that was used is not safe. */
    private static final Arena PROCESS = Arena.ofShared();

    private static @Nullable Looked last;

    private Driver() {}

    /**
     * What was found.
     *
     * @param why    null if kernels run here, else what is missing
     * @param detail the device and its driver, for people
     */
    record Found(@Nullable String why, String detail, boolean emulated) {
        static Found not(String why) {
            return new Found(why, "CUDA", false);
        }
    }

    private record Looked(@Nullable String emulator, Found found) {}

    /** Looks once for each value of {@link #EMULATOR}. */
    static synchronized Found look() {
        String emulator = System.getProperty(EMULATOR);
        Looked known = last;
        if (known != null && Objects.equals(known.emulator, emulator)) return known.found;
        Found found;
        try {
            found = look(emulator);
        } catch (LinkageError | IllegalCallerException e) {
            found = Found.not("the CUDA driver cannot be loaded: " + e.getMessage());
        }
        last = new Looked(emulator, found);
        return found;
    }

    private static Found look(@Nullable String emulator) {
        String system = System.getProperty("os.name", "").toLowerCase(Locale.ROOT) + "-" + System.getProperty("os.arch", "");
        if (!system.equals("linux-amd64")) return Found.not("the CUDA kernels are built for Linux on x86-64, this is " + system);
        if (Driver.class.getResource(KERNELS + "kernels.txt") == null) {
            return Found.not("this build has no CUDA kernels: run ./lacuna build cuda where nvcc is on the PATH or pip can fetch it");
        }
        if (emulator != null) {
            Path library = Path.of(emulator).toAbsolutePath();
            if (!Files.isRegularFile(library)) return Found.not("-D" + EMULATOR + " names " + library + ", and there is no such file");
            System.load(library.toString());
        }
        SymbolLookup cuda;
        try {
            cuda = SymbolLookup.libraryLookup("libcuda.so.1", PROCESS);
        } catch (IllegalArgumentException e) {
            return Found.not("no NVIDIA driver is here: libcuda.so.1 was not found (install the driver, " + LEAST_DRIVER
                    + "; in containers start with --gpus all)");
        }
        try (Arena scratch = Arena.ofConfined()) {
            return device(new Calls(cuda, scratch), emulator != null);
        }
    }

    /** The few calls that tell whether JCuda may be touched. */
    private record Calls(SymbolLookup cuda, Arena scratch) {
        int call(String name, Object... arguments) {
            MemorySegment at = cuda.find(name).orElseThrow(() -> new UnsatisfiedLinkError("libcuda.so.1 has no " + name));
            ValueLayout[] layouts = new ValueLayout[arguments.length];
            for (int i = 0; i < layouts.length; i++)
                layouts[i] = arguments[i] instanceof Integer ? ValueLayout.JAVA_INT : ValueLayout.ADDRESS;
            MethodHandle handle = Linker.nativeLinker().downcallHandle(at, FunctionDescriptor.of(ValueLayout.JAVA_INT, layouts));
            try {
                return (int) handle.invokeWithArguments(arguments);
            } catch (RuntimeException | Error e) {
                throw e;
            } catch (Throwable e) {
                throw new IllegalStateException(name, e);
            }
        }

        /** A number that a call writes through its first argument. */
        int number(String name, Object... others) {
            MemorySegment out = scratch.allocate(ValueLayout.JAVA_INT);
            Object[] all = new Object[others.length + 1];
            all[0] = out;
            System.arraycopy(others, 0, all, 1, others.length);
            int code = call(name, all);
            return code == 0 ? out.get(ValueLayout.JAVA_INT, 0) : -code;
        }

        String error(int code) {
            MemorySegment out = scratch.allocate(ValueLayout.ADDRESS);
            if (call("cuGetErrorName", code, out) != 0) return "error " + code;
            return out.get(ValueLayout.ADDRESS, 0).reinterpret(100).getString(0);
        }
    }

    private static Found device(Calls calls, boolean asked) {
        int code = calls.call("cuInit", 0);
        if (code != 0) {
            return Found.not("the CUDA driver is here and does not start: cuInit says " + calls.error(code)
                    + " (is the device visible? see nvidia-smi, CUDA_VISIBLE_DEVICES; in containers --gpus all)");
        }
        int version = calls.number("cuDriverGetVersion");
        int devices = calls.number("cuDeviceGetCount");
        if (devices < 1) return Found.not("the CUDA driver is here and sees no device (nvidia-smi, CUDA_VISIBLE_DEVICES)");
        int device = calls.number("cuDeviceGet", 0);
        MemorySegment text = calls.scratch.allocate(256);
        code = calls.call("cuDeviceGetName", text, 255, device);
        if (code != 0) return Found.not("cuDeviceGetName failed with " + calls.error(code));
        String name = text.getString(0);
        boolean emulated = name.equals(EMULATED_NAME);
        if (emulated && !asked) {
            return Found.not(
                    "the libcuda.so.1 that was found is the emulated one, which is for tests: take it off the library path, or ask for it"
                            + " with -D" + EMULATOR + "=PATH");
        }
        if (asked && !emulated) return Found.not("-D" + EMULATOR + " was given, and the device is " + name + ", which is not emulated");
        int major = calls.number("cuDeviceGetAttribute", MAJOR, device);
        int minor = calls.number("cuDeviceGetAttribute", MINOR, device);
        String cuda = version / 1000 + "." + version % 1000 / 10;
        String detail = name + ", compute capability " + major + "." + minor + ", driver for CUDA " + cuda;
        if (version < LEAST_CUDA) return new Found(name + " has a driver for CUDA " + cuda + ": install " + LEAST_DRIVER, detail, emulated);
        if (major < LEAST_CAPABILITY) {
            return new Found(name + " has compute capability " + major + "." + minor
                    + ", the kernels need 8.0 (Ampere) or newer: the CPU's kernels run", detail, emulated);
        }
        return new Found(unpacking(), detail + "; needs " + LEAST_DRIVER, emulated);
    }

    /** Why JCuda's own library must not be loaded, or null: on shared machines somebody else may have put another in its place. */
    private static @Nullable String unpacking() {
        try (InputStream packed = Driver.class.getResourceAsStream("/lib/" + JCUDA)) {
            if (packed == null) return "jcuda-natives (linux-x86_64) is not on the class path";
            Path folder = Path.of(System.getProperty("java.io.tmpdir", "/tmp"));
            Path unpacked = folder.resolve(JCUDA);
            if (!Files.exists(unpacked, LinkOption.NOFOLLOW_LINKS)) return null;
            String me = Files.getOwner(Path.of(System.getProperty("user.home", "."))).getName();
            String owner = Files.getOwner(unpacked, LinkOption.NOFOLLOW_LINKS).getName();
            boolean mine = owner.equals(me) || owner.equals(System.getProperty("user.name"));
            if (mine && Files.isRegularFile(unpacked, LinkOption.NOFOLLOW_LINKS) && same(packed, unpacked)) return null;
            return unpacked + " is not what JCuda would unpack there: remove it, or give java -Djava.io.tmpdir=FOLDER, one of your own";
        } catch (IOException e) {
            return "JCuda's library cannot be unpacked: " + e.getMessage();
        }
    }

    private static boolean same(InputStream packed, Path unpacked) throws IOException {
        try (InputStream there = Files.newInputStream(unpacked)) {
            byte[] a = packed.readAllBytes();
            byte[] b = there.readAllBytes();
            return Arrays.equals(a, b);
        }
    }

    /** What the emulated driver says of its last error beyond the code; empty for others. */
    static String detail() {
        if (System.getProperty(EMULATOR) == null) return "";
        try (Arena scratch = Arena.ofConfined()) {
            Optional<MemorySegment> at = SymbolLookup.libraryLookup("libcuda.so.1", PROCESS).find("lacunaEmulatorLastError");
            if (at.isEmpty()) return "";
            MemorySegment text = scratch.allocate(4096);
            MethodHandle handle = Linker.nativeLinker().downcallHandle(at.get(),
                    FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG));
            long _ = (long) handle.invokeExact(text, 4096L);
            return text.getString(0);
        } catch (Throwable e) {
            return "";
        }
    }
}
