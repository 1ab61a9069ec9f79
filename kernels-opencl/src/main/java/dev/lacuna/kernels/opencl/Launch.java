package dev.lacuna.kernels.opencl;

import org.jocl.CL;
import org.jocl.Pointer;
import org.jocl.Sizeof;
import org.jocl.cl_command_queue;
import org.jocl.cl_kernel;
import org.jocl.cl_program;
import org.jspecify.annotations.Nullable;

/** A kernel and its arguments, which are given in their order before each run. */
final class Launch implements AutoCloseable {
    private final cl_command_queue queue;
    private final String name;
    private final cl_kernel kernel;
    private final int[] number = new int[1];
    private final long[] size = new long[1];
    private final float[] real = new float[1];
    private int n;

    Launch(cl_command_queue queue, cl_program program, String name) {
        this.queue = queue;
        this.name = name;
        int[] status = new int[1];
        kernel = CL.clCreateKernel(program, name, status);
        OpenClException.check("clCreateKernel of " + name, status[0]);
    }

    /** Forgets the arguments of the latest run. */
    Launch begin() {
        n = 0;
        return this;
    }

    private Launch argument(long bytes, @Nullable Pointer value) {
        int status = CL.clSetKernelArg(kernel, n, bytes, value);
        if (status != CL.CL_SUCCESS) throw new OpenClException("clSetKernelArg " + n + " of " + name, status, "");
        n++;
        return this;
    }

    Launch memory(DeviceMemory.Buffer buffer) {
        return argument(Sizeof.cl_mem, Pointer.to(buffer.mem()));
    }

    Launch number(int value) {
        number[0] = value;
        return argument(Sizeof.cl_int, Pointer.to(number));
    }

    Launch flag(boolean value) {
        return number(value ? 1 : 0);
    }

    Launch size(long value) {
        size[0] = value;
        return argument(Sizeof.cl_ulong, Pointer.to(size));
    }

    Launch real(float value) {
        real[0] = value;
        return argument(Sizeof.cl_float, Pointer.to(real));
    }

    /** Local memory of the work-group. */
    Launch floats(int count) {
        return argument((long) Math.max(1, count) * Float.BYTES, null);
    }

    /** Runs work-groups of that many work-items, in two dimensions. */
    void run(long across, long down, int width, int height) {
        int status = CL.clEnqueueNDRangeKernel(queue, kernel, 2, null, new long[]{across * width, down * height},
                new long[]{width, height}, 0, null, null);
        if (status != CL.CL_SUCCESS) throw new OpenClException("clEnqueueNDRangeKernel of " + name, status, "");
    }

    @Override
    public void close() {
        OpenClException.check("clReleaseKernel", CL.clReleaseKernel(kernel));
    }
}
