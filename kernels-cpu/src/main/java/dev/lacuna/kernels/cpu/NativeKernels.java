package dev.lacuna.kernels.cpu;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;

/** The kernels of one tier. Addresses go as numbers: a segment's scope would be locked and unlocked by every call, and {@link Args} has checked it. */
final class NativeKernels {
    /** In the order of {@code struct kernels}. */
    static final List<String> NAMES = List.of("pack", "product", "gated", "embed", "norm", "rope", "attend", "activate", "quantize",
            "best",
            "unpack", "rows", "columns");
    static final int COUNT = NAMES.size();

    final String isa;
    final Kernel pack;
    final Kernel product;
    final Kernel gated;
    final Kernel embed;
    final Kernel norm;
    final Kernel rope;
    final Kernel attend;
    final Kernel activate;
    final Kernel quantize;
    final Kernel best;
    final Kernel unpack;
    final Kernel rows;
    final Kernel columns;

    /** {@code table}: addresses in the order of {@code struct kernels}. */
    NativeKernels(MemorySegment table, String isa) {
        this.isa = isa;
        pack = kernel(table, "pack");
        product = kernel(table, "product");
        gated = kernel(table, "gated");
        embed = kernel(table, "embed");
        norm = kernel(table, "norm");
        rope = kernel(table, "rope");
        attend = kernel(table, "attend");
        activate = kernel(table, "activate");
        quantize = kernel(table, "quantize");
        best = kernel(table, "best");
        unpack = kernel(table, "unpack");
        rows = kernel(table, "rows");
        columns = kernel(table, "columns");
    }

    private static Kernel kernel(MemorySegment table, String name) {
        return new Kernel(name, Kernel.HANDLE.bindTo(table.getAtIndex(ValueLayout.ADDRESS, NAMES.indexOf(name))));
    }

    /** One function: parts {@code from} to {@code to} of the operation that the arguments describe. */
    record Kernel(String name, MethodHandle handle) {
        private static final MethodHandle HANDLE = Linker.nativeLinker().downcallHandle(FunctionDescriptor.of(ValueLayout.JAVA_INT,
                ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));

        /**
         * Does some parts on this thread.
         *
         * @throws IllegalStateException if the kernel refuses its arguments
         */
        void run(Args args, long from, long to, MemorySegment scratch) {
            int status;
            try {
                status = (int) handle.invokeExact(args.address(), from, to, scratch.address());
            } catch (Throwable e) {
                throw NativeLibrary.failure(e);
            }
            if (status != 0) throw new IllegalStateException("kernel " + name + " refused its arguments with status " + status);
        }
    }
}
