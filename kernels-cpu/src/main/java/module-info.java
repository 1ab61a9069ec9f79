/** Kernels for the processor: plain Java loops, and Vector API loops where that module is there. */
@org.jspecify.annotations.NullMarked module dev.lacuna.kernels.cpu {
    requires static transitive org.jspecify;
    requires jdk.incubator.vector;
    requires dev.lacuna.engine;

    provides dev.lacuna.ops.OpsProvider with dev.lacuna.kernels.cpu.CpuProvider;
}
