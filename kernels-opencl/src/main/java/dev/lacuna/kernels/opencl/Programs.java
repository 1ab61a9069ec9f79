package dev.lacuna.kernels.opencl;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jocl.CL;
import org.jocl.Pointer;
import org.jocl.cl_context;
import org.jocl.cl_context_properties;
import org.jocl.cl_device_id;
import org.jocl.cl_program;

/**
 * A device's context and the programs that were compiled for it, which live as long as the process, as the CPU's threads do: what models need is
 * compiled when the first of them is placed. Drivers keep what they compiled in the user's cache folder.
 */
final class Programs {
    private static final Map<Device, Programs> ALL = new HashMap<>();

    private final Device device;
    private final cl_context context;
    private final Map<List<String>, cl_program> compiled = new HashMap<>();

    private Programs(Device device) {
        this.device = device;
        cl_context_properties properties = new cl_context_properties();
        properties.addProperty(CL.CL_CONTEXT_PLATFORM, device.platform());
        int[] status = new int[1];
        context = CL.clCreateContext(properties, 1, new cl_device_id[]{device.id()}, null, null, status);
        OpenClException.check("clCreateContext", status[0]);
    }

    static Programs of(Device device) {
        synchronized (ALL) {
            return ALL.computeIfAbsent(device, Programs::new);
        }
    }

    Device device() {
        return device;
    }

    cl_context context() {
        return context;
    }

    /** The program of these sources, one after another, with these options of the preprocessor. */
    cl_program of(String options, String... sources) {
        List<String> key = new ArrayList<>(List.of(sources));
        key.add(options);
        synchronized (compiled) {
            return compiled.computeIfAbsent(List.copyOf(key), _ -> compile(options, sources));
        }
    }

    private cl_program compile(String options, String... sources) {
        StringBuilder text = new StringBuilder(source("common"));
        for (String name : sources) text.append(source(name));
        int[] status = new int[1];
        cl_program program = CL.clCreateProgramWithSource(context, 1, new String[]{text.toString()}, null, status);
        OpenClException.check("clCreateProgramWithSource", status[0]);
        // no -cl-fast-relaxed-math: what is not a number has to stay so
        int built = CL.clBuildProgram(program, 1, new cl_device_id[]{device.id()}, "-cl-std=CL1.2 " + options, null, null);
        if (built == CL.CL_SUCCESS) return program;
        String log = log(program);
        CL.clReleaseProgram(program);
        throw new OpenClException("clBuildProgram of " + String.join(", ", sources) + " for " + device.name(), built, log);
    }

    private String log(cl_program program) {
        long[] size = new long[1];
        OpenClException.check("clGetProgramBuildInfo",
                CL.clGetProgramBuildInfo(program, device.id(), CL.CL_PROGRAM_BUILD_LOG, 0, null, size));
        byte[] bytes = new byte[Math.toIntExact(size[0])];
        OpenClException.check("clGetProgramBuildInfo",
                CL.clGetProgramBuildInfo(program, device.id(), CL.CL_PROGRAM_BUILD_LOG, bytes.length, Pointer.to(bytes), null));
        return new String(bytes, StandardCharsets.UTF_8).trim();
    }

    private static String source(String name) {
        try (InputStream in = Programs.class.getResourceAsStream(name + ".cl")) {
            if (in == null) throw new IllegalStateException("the jar has no " + name + ".cl");
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
