package dev.lacuna.kernels.opencl;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jocl.CL;
import org.jocl.Pointer;
import org.jocl.Sizeof;
import org.jocl.cl_device_id;
import org.jocl.cl_platform_id;
import org.jspecify.annotations.Nullable;

/**
 * A device that OpenCL has here.
 *
 * @param cpu     whether it is the processor itself
 * @param memory  bytes of its memory
 * @param largest bytes of the largest allocation
 * @param why     null if the kernels can run on it, else what it lacks
 */
record Device(cl_platform_id platform, cl_device_id id, String name, boolean cpu, long memory, long largest, @Nullable String why) {
    /** Work-items of the largest work-group of the kernels. */
    private static final int ITEMS = 128;
    /** No platform at all, as the loader says it. */
    private static final int NO_PLATFORM = -1001;

    /** What was found: the devices, the best first, or why there are none. */
    record Found(List<Device> devices, @Nullable String why) {}

    private static final class Once {
        static final Found FOUND = look();
    }

    /** Looks once in a process. */
    static Found found() {
        return Once.FOUND;
    }

    private static Found look() {
        String missing = Jocl.missing();
        if (missing != null) return new Found(List.of(), missing);
        List<Device> all = new ArrayList<>();
        try {
            for (cl_platform_id platform : platforms()) {
                for (cl_device_id id : devices(platform)) all.add(of(platform, id));
            }
        } catch (OpenClException e) {
            return new Found(List.of(), e.getMessage());
        }
        all.sort(Comparator.comparing((Device d) -> d.why != null).thenComparing(Device::cpu)
                .thenComparing(Comparator.comparingLong(Device::memory).reversed()));
        if (all.isEmpty())
            return new Found(all, "OpenCL has no device here: install a driver, e.g. pocl-opencl-icd for the processor itself");
        return new Found(List.copyOf(all), all.getFirst().why);
    }

    private static cl_platform_id[] platforms() {
        int[] n = new int[1];
        int status = CL.clGetPlatformIDs(0, null, n);
        if (status == NO_PLATFORM) return new cl_platform_id[0];
        OpenClException.check("clGetPlatformIDs", status);
        cl_platform_id[] ids = new cl_platform_id[n[0]];
        if (n[0] > 0) OpenClException.check("clGetPlatformIDs", CL.clGetPlatformIDs(n[0], ids, null));
        return ids;
    }

    private static cl_device_id[] devices(cl_platform_id platform) {
        int[] n = new int[1];
        int status = CL.clGetDeviceIDs(platform, CL.CL_DEVICE_TYPE_ALL, 0, null, n);
        if (status == CL.CL_DEVICE_NOT_FOUND) return new cl_device_id[0];
        OpenClException.check("clGetDeviceIDs", status);
        cl_device_id[] ids = new cl_device_id[n[0]];
        if (n[0] > 0) OpenClException.check("clGetDeviceIDs", CL.clGetDeviceIDs(platform, CL.CL_DEVICE_TYPE_ALL, n[0], ids, null));
        return ids;
    }

    private static Device of(cl_platform_id platform, cl_device_id id) {
        boolean cpu = (number(id, CL.CL_DEVICE_TYPE) & CL.CL_DEVICE_TYPE_CPU) != 0;
        String name = text(id, CL.CL_DEVICE_NAME).trim();
        String why = null;
        if (number(id, CL.CL_DEVICE_AVAILABLE) == 0 || number(id, CL.CL_DEVICE_COMPILER_AVAILABLE) == 0) {
            why = name + " is not available or has no compiler";
        } else if (number(id, CL.CL_DEVICE_ENDIAN_LITTLE) == 0) {
            why = name + " is big-endian";
        } else if (number(id, CL.CL_DEVICE_MAX_WORK_GROUP_SIZE) < ITEMS) {
            why = name + " has work-groups of fewer than " + ITEMS + " items";
        }
        return new Device(platform, id, name, cpu, number(id, CL.CL_DEVICE_GLOBAL_MEM_SIZE), number(id, CL.CL_DEVICE_MAX_MEM_ALLOC_SIZE),
                why);
    }

    /** A value of 4 or 8 bytes. */
    private static long number(cl_device_id id, int what) {
        long[] value = new long[1];
        OpenClException.check("clGetDeviceInfo", CL.clGetDeviceInfo(id, what, Sizeof.cl_ulong, Pointer.to(value), null));
        return value[0];
    }

    private static String text(cl_device_id id, int what) {
        long[] size = new long[1];
        OpenClException.check("clGetDeviceInfo", CL.clGetDeviceInfo(id, what, 0, null, size));
        byte[] bytes = new byte[Math.toIntExact(size[0])];
        OpenClException.check("clGetDeviceInfo", CL.clGetDeviceInfo(id, what, bytes.length, Pointer.to(bytes), null));
        return new String(bytes, 0, Math.max(0, bytes.length - 1), StandardCharsets.UTF_8);
    }
}
