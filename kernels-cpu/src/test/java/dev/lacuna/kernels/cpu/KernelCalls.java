package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Ops;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.zip.CRC32;

/**
 * Keeps the first calls of each C kernel with each format, with all the memory that they may touch before and a checksum of it after, in
 * {@code target/kernel-calls.bin}. {@code native-build/cpu/replay.c} plays them to kernels that were built with sanitizers, each piece of memory between
 * red zones, where a whole conformance run in a virtual machine would take minutes.
 *
 * <p>A call: {@code int32 kernel, tier; int64 from, to; int32 slots, pieces}; a slot: {@code int32 piece} (-1: a number, -2: scratch), {@code int64} number
 * or offset; a piece: {@code int64 bytes, crc after}, then the bytes. The last number of scratch is its size.
 */
public final class KernelCalls implements NativeMemory {
    private static final int SLOTS = 64;
    private static final int NUMBER = -1, SCRATCH = -2;
    /** Calls of one kind that are kept, and bytes of those of a tier. */
    private static final int KEPT = 1;
    private static final long MOST = 80L << 20;
    /** The slots that make two calls of a kernel different in kind: formats, inputs, cache types, rows. */
    private static final Map<String, int[]> KIND = Map.ofEntries(entry("pack", 6), entry("product", 3, 12, 13, 22),
            entry("gated", 10, 19, 20, 26, 29),
            entry("embed", 3, 10), entry("norm", 19, 20), entry("rope", 27, 31), entry("attend", 12, 13, 15), entry("activate", 19, 20),
            entry("quantize", 5, 6), entry("unpack", 5, 6), entry("rows", 3, 12), entry("columns", 3));
    private static final Set<Integer> ROWS = Set.of(22, 29);
    private static final FunctionDescriptor TYPE = FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG);
    private static final Map<String, KernelCalls> BY_TIER = new HashMap<>();
    private static final Map<String, Integer> SEEN = new HashMap<>();
    private static OutputStream file;

    private final NavigableMap<Long, Long> pieces = new TreeMap<>();
    private final int tier;
    private long written;
    private final NativeLibrary library;
    private final NativeKernels kernels;

    private KernelCalls(String isa) {
        tier = NativeLibrary.ISAS.indexOf(isa);
        library = TestedLibraries.of(isa);
        MemorySegment real = library.table(isa);
        MemorySegment table = Arena.global().allocate(real.byteSize(), 8);
        try {
            MethodHandle call = MethodHandles.lookup().findVirtual(KernelCalls.class, "call", MethodType.methodType(int.class,
                    int.class, MethodHandle.class, long.class, long.class, long.class, long.class)).bindTo(this);
            for (int i = 0; i < NativeKernels.COUNT; i++) {
                MethodHandle target = Linker.nativeLinker().downcallHandle(real.getAtIndex(ValueLayout.ADDRESS, i), TYPE);
                table.setAtIndex(ValueLayout.ADDRESS, i,
                        Linker.nativeLinker().upcallStub(MethodHandles.insertArguments(call, 0, i, target), TYPE, Arena.global()));
            }
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
        kernels = new NativeKernels(table, isa);
    }

    /** The operations of a tier, whose kernels are called through this. */
    public static Ops open(int threads, String isa) {
        synchronized (BY_TIER) {
            KernelCalls calls = BY_TIER.computeIfAbsent(isa, KernelCalls::new);
            return new NativeOps(calls.library, calls.kernels, Team.of(threads), calls);
        }
    }

    @Override
    public MemorySegment allocate(long bytes, Arena arena) {
        MemorySegment s = NativeMemory.plain(bytes, arena);
        synchronized (BY_TIER) {
            // what was there before has been freed
            pieces.subMap(s.address(), s.address() + bytes).clear();
            pieces.put(s.address(), bytes);
        }
        return s;
    }

    private int call(int kernel, MethodHandle real, long args, long from, long to, long scratch) {
        try {
            synchronized (BY_TIER) {
                MemorySegment slots = MemorySegment.ofAddress(args).reinterpret(SLOTS * Long.BYTES);
                String name = NativeKernels.NAMES.get(kernel);
                StringBuilder kind = new StringBuilder(tier + name);
                for (int at : KIND.getOrDefault(name, new int[0])) {
                    long v = slots.getAtIndex(ValueLayout.JAVA_LONG, at);
                    kind.append(' ').append(ROWS.contains(at) ? runs(v) : v);
                }
                if (written > MOST || SEEN.merge(kind.toString(), 1, Integer::sum) > KEPT)
                    return (int) real.invokeExact(args, from, to, scratch);
                Kept kept = new Kept(kernel, slots, from, to, scratch);
                int status = (int) real.invokeExact(args, from, to, scratch);
                kept.write();
                return status;
            }
        } catch (Throwable e) {
            throw NativeLibrary.failure(e);
        }
    }

    private static Map.Entry<String, int[]> entry(String kernel, int... slots) {
        return Map.entry(kernel, slots);
    }

    /** Rows as loops cut them into runs. */
    private static long runs(long rows) {
        return rows <= 2 ? rows : rows <= 4 ? 4 : rows <= 8 ? 8 : rows <= 12 ? 12 : 13;
    }

    /** One call. */
    private final class Kept {
        private final ByteBuffer head = ByteBuffer.allocate(32 + SLOTS * 12 + 12).order(ByteOrder.LITTLE_ENDIAN);
        private final List<MemorySegment> memory = new ArrayList<>();
        private final List<byte[]> before = new ArrayList<>();

        Kept(int kernel, MemorySegment slots, long from, long to, long scratch) {
            Map<Long, Integer> numbers = new HashMap<>();
            long[] value = slots.toArray(ValueLayout.JAVA_LONG);
            boolean packs = NativeKernels.NAMES.get(kernel).equals("pack");
            for (int i = packs ? 1 : 0; i < SLOTS; i++) {
                Map.Entry<Long, Long> in = pieces.floorEntry(value[i]);
                if (in != null && value[i] < in.getKey() + in.getValue()) add(in.getKey(), in.getValue(), numbers);
            }
            // the file's rows are nobody's piece; where they differ in length, the offset of their end comes after those of their beginnings
            if (packs) add(value[0], value[2] > 0 ? value[2] * value[4] : offset(value[0], value[4]), numbers);
            head.putInt(kernel).putInt(tier).putLong(from).putLong(to).putInt(SLOTS).putInt(memory.size());
            for (int i = 0; i < SLOTS; i++) {
                Long base = packs && i == 0 ? Long.valueOf(value[0]) : pieces.floorKey(value[i]);
                Integer piece = base == null ? null : numbers.get(base);
                boolean inside = piece != null && value[i] < base + memory.get(piece).byteSize();
                head.putInt(inside ? piece : NUMBER).putLong(inside ? value[i] - base : value[i]);
            }
            head.putInt(SCRATCH).putLong(pieces.get(scratch));
        }

        private static long offset(long table, long row) {
            return MemorySegment.ofAddress(table).reinterpret((row + 1) * Long.BYTES).get(ValueLayout.JAVA_LONG_UNALIGNED,
                    row * Long.BYTES);
        }

        private void add(long at, long bytes, Map<Long, Integer> numbers) {
            if (numbers.putIfAbsent(at, memory.size()) != null) return;
            memory.add(MemorySegment.ofAddress(at).reinterpret(bytes));
            before.add(memory.getLast().toArray(ValueLayout.JAVA_BYTE));
        }

        void write() {
            try {
                if (file == null) {
                    Path target = Path.of("target");
                    file = new BufferedOutputStream(Files.newOutputStream(Files.createDirectories(target).resolve("kernel-calls.bin")),
                            1 << 16);
                    Runtime.getRuntime().addShutdownHook(new Thread(KernelCalls::close));
                }
                file.write(head.array(), 0, head.position());
                written += head.position();
                for (int i = 0; i < memory.size(); i++) {
                    CRC32 after = new CRC32();
                    after.update(memory.get(i).asByteBuffer());
                    file.write(ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).putLong(before.get(i).length)
                            .putLong(after.getValue()).array());
                    file.write(before.get(i));
                    written += before.get(i).length;
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    private static void close() {
        synchronized (BY_TIER) {
            try {
                file.close();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
