package dev.lacuna.kernels.cuda;

import static dev.lacuna.kernels.cuda.CudaException.check;

import java.util.ArrayList;
import java.util.List;
import jcuda.Pointer;
import jcuda.driver.CUfunction;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/** One launch: its parameters in the order in which the kernel declares them, and its grid. */
final class Launch {
    private final String name;
    private final CUfunction function;
    private final List<Pointer> parameters = new ArrayList<>();
    private final int[] grid = new int[3];
    private int threads;
    private int shared;

    Launch(String name, CUfunction function) {
        this.name = name;
        this.function = function;
    }

    /** An address of the device; 0 where the kernel takes null. */
    Launch at(long address) {
        parameters.add(Pointer.to(new long[]{address}));
        return this;
    }

    Launch number(int v) {
        parameters.add(Pointer.to(new int[]{v}));
        return this;
    }

    Launch real(float v) {
        parameters.add(Pointer.to(new float[]{v}));
        return this;
    }

    /** Blocks of the grid, threads of a block. */
    Launch grid(int x, int y, int z, int blockThreads) {
        grid[0] = x;
        grid[1] = y;
        grid[2] = z;
        threads = blockThreads;
        return this;
    }

    /** Bytes of shared memory beside what the kernel declares. */
    Launch shared(int bytes) {
        shared = bytes;
        return this;
    }

    /** Launches, or records the launch where the stream captures. */
    void go(CUstream stream) {
        Pointer all = Pointer.to(parameters.toArray(Pointer[]::new));
        check(JCudaDriver.cuLaunchKernel(function, grid[0], grid[1], grid[2], threads, 1, 1, shared, stream, all, null), toString());
    }

    @Override
    public String toString() {
        return "cuLaunchKernel(" + name + ", grid " + grid[0] + " x " + grid[1] + " x " + grid[2] + ", " + threads + " threads, " + shared
                + " shared bytes)";
    }
}
