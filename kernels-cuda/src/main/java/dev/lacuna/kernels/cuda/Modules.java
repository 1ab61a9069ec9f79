package dev.lacuna.kernels.cuda;

import static dev.lacuna.kernels.cuda.CudaException.check;

import dev.lacuna.ops.UnsupportedKernelException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import jcuda.Pointer;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;
import org.jspecify.annotations.Nullable;

/** The kernels, loaded from the jar when they are first asked for: machine code for the device where there is some, else PTX, which the driver compiles. */
final class Modules implements AutoCloseable {
    /** Shared memory of a block that needs no asking. */
    private static final int PLAIN_SHARED = 48 << 10;

    /** Every kernel of this build, as {@code module kernel}, out of the table that the build writes; none in a build without. */
    private static final Set<String> KNOWN = known();

    private final boolean textOnly;
    private final Map<String, CUmodule> modules = new HashMap<>();
    private final Map<String, CUfunction> functions = new HashMap<>();

    Modules(Device device) {
        if (KNOWN.isEmpty()) throw new UnsupportedKernelException("this build has no CUDA kernels: run ./lacuna build cuda");
        textOnly = device.emulated();
    }

    private static Set<String> known() {
        byte[] table = resource("kernels.txt");
        if (table == null) return Set.of();
        return new String(table, StandardCharsets.UTF_8).lines().filter(l -> !l.startsWith("#")).map(l -> l.split(" +"))
                .filter(w -> w.length > 2).map(w -> w[0] + " " + w[1]).collect(Collectors.toUnmodifiableSet());
    }

    /** Whether this build has the kernel. */
    boolean has(String module, String name) {
        return KNOWN.contains(module + " " + name);
    }

    /** Whether this build has kernels of that source. */
    boolean has(String module) {
        return KNOWN.stream().anyMatch(k -> k.startsWith(module + " "));
    }

    /**
     * A kernel.
     *
     * @param module the source's name without its ending
     * @param shared most bytes of shared memory that it will ever be launched with
     */
    CUfunction function(String module, String name, int shared) {
        CUfunction ready = functions.get(module + " " + name);
        if (ready != null) return ready;
        CUmodule m = modules.get(module);
        if (m == null) {
            m = load(module);
            modules.put(module, m);
            Device.count(1);
        }
        CUfunction function = new CUfunction();
        check(JCudaDriver.cuModuleGetFunction(function, m, name), "cuModuleGetFunction(" + name + ") of " + module);
        if (shared > PLAIN_SHARED) {
            check(JCudaDriver.cuFuncSetAttribute(function, CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared),
                    "cuFuncSetAttribute of " + name + " to " + shared + " bytes of shared memory");
        }
        functions.put(module + " " + name, function);
        return function;
    }

    private CUmodule load(String name) {
        CUmodule module = new CUmodule();
        if (!textOnly) {
            byte[] code = resource(name + ".fatbin");
            if (code != null) {
                int result = JCudaDriver.cuModuleLoadData(module, code);
                if (result == CUresult.CUDA_SUCCESS) return module;
                // machine code of a newer compiler than the driver, or for other devices: the driver compiles the text
                if (result != CUresult.CUDA_ERROR_NO_BINARY_FOR_GPU && result != CUresult.CUDA_ERROR_INVALID_IMAGE
                        && result != CUresult.CUDA_ERROR_INVALID_SOURCE && result != CUresult.CUDA_ERROR_UNSUPPORTED_PTX_VERSION) {
                    check(result, "cuModuleLoadData(" + name + ".fatbin)");
                }
            }
        }
        byte[] text = resource(name + ".ptx");
        if (text == null) throw new UnsupportedKernelException("this build has no CUDA kernels '" + name + "': run ./lacuna build cuda");
        byte[] terminated = Arrays.copyOf(text, text.length + 1);
        check(JCudaDriver.cuModuleLoadDataEx(module, Pointer.to(terminated), 0, new int[0], Pointer.to(new int[0])),
                "cuModuleLoadDataEx(" + name + ".ptx)");
        return module;
    }

    private static byte @Nullable [] resource(String name) {
        try (InputStream in = Modules.class.getResourceAsStream(Driver.KERNELS + name)) {
            return in == null ? null : in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(name, e);
        }
    }

    @Override
    public void close() {
        for (CUmodule m : modules.values()) {
            check(JCudaDriver.cuModuleUnload(m), "cuModuleUnload");
            Device.count(-1);
        }
        modules.clear();
        functions.clear();
    }
}
