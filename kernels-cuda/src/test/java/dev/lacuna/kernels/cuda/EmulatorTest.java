package dev.lacuna.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUjit_option;
import jcuda.driver.CUmemAttach_flags;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The emulated driver as JCuda sees it: it answers as a driver does, and finds out what a device would not. Each test has a context of its own. */
class EmulatorTest {
    private static final int THREADS = 64;
    private static SymbolLookup library;
    private final CUcontext context = new CUcontext();
    private final CUmodule module = new CUmodule();

    @BeforeAll
    static void load() {
        Path path = Path.of(System.getProperty(Driver.EMULATOR, "")).toAbsolutePath();
        assumeTrue(Files.isRegularFile(path), () -> "skipped: there is no emulated driver " + path + " (g++ and cmake make it)");
        System.load(path.toString());
        library = SymbolLookup.libraryLookup(path, Arena.global());
        JCudaDriver.setExceptionsEnabled(false);
        assertEquals(0, JCudaDriver.cuInit(0));
    }

    @BeforeEach
    void open() throws IOException {
        CUdevice device = new CUdevice();
        call(JCudaDriver.cuDeviceGet(device, 0));
        call(JCudaDriver.cuCtxCreate(context, 0, device));
        call(JCudaDriver.cuModuleLoadData(module, probe()));
    }

    @AfterEach
    void close() {
        call(JCudaDriver.cuCtxDestroy(context));
    }

    private static byte[] probe() throws IOException {
        try (var in = EmulatorTest.class.getResourceAsStream("/emulator/probe.ptx")) {
            return zeroEnded(new String(in.readAllBytes(), StandardCharsets.US_ASCII));
        }
    }

    private static byte[] zeroEnded(String text) {
        return (text + "\0").getBytes(StandardCharsets.US_ASCII);
    }

    private static void call(int result) {
        assertEquals("CUDA_SUCCESS", CUresult.stringFor(result), EmulatorTest::lastError);
    }

    private static void refused(int expected, int result) {
        assertEquals(CUresult.stringFor(expected), CUresult.stringFor(result), EmulatorTest::lastError);
    }

    private static String lastError() {
        return text("lacunaEmulatorLastError");
    }

    private static String text(String function) {
        var handle = Linker.nativeLinker().downcallHandle(library.find(function).orElseThrow(),
                FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG));
        try (Arena arena = Arena.ofConfined()) {
            long length = (long) handle.invokeExact(MemorySegment.NULL, 0L);
            MemorySegment room = arena.allocate(length + 1);
            assertEquals(length, (long) handle.invokeExact(room, length + 1));
            return room.getString(0);
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    private static CUdeviceptr upload(float... values) {
        CUdeviceptr to = new CUdeviceptr();
        call(JCudaDriver.cuMemAlloc(to, 4L * values.length));
        call(JCudaDriver.cuMemcpyHtoD(to, Pointer.to(values), 4L * values.length));
        return to;
    }

    private static float[] download(CUdeviceptr from, int n) {
        float[] values = new float[n];
        call(JCudaDriver.cuMemcpyDtoH(Pointer.to(values), from, 4L * n));
        return values;
    }

    private CUfunction function(String name) {
        CUfunction function = new CUfunction();
        call(JCudaDriver.cuModuleGetFunction(function, module, name));
        return function;
    }

    private static int launch(CUfunction function, int threads, int shared, CUstream stream, int n, Pointer... arguments) {
        return JCudaDriver.cuLaunchKernel(function, (n + threads - 1) / threads, 1, 1, threads, 1, 1, shared, stream, Pointer.to(arguments),
                null);
    }

    private static float[] numbers(int n, float step) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) values[i] = i * step;
        return values;
    }

    /** An unimplemented call answers, where a missing symbol would end the process. */
    @Test
    void everySymbolOfJCudasLibraryIsThere() throws IOException {
        List<String> names = Files.readAllLines(emulator().resolve("driver/symbols.txt"));
        assertEquals(312, names.size());
        assertEquals(List.of(), names.stream().filter(name -> library.find(name).isEmpty()).toList());
        CUdeviceptr managed = new CUdeviceptr();
        refused(CUresult.CUDA_ERROR_NOT_SUPPORTED, JCudaDriver.cuMemAllocManaged(managed, 64, CUmemAttach_flags.CU_MEM_ATTACH_GLOBAL));
        assertEquals("cuMemAllocManaged is not supported by the emulator", lastError());
    }

    @Test
    void addsVectorsAndCountsWhatThatTook() {
        int n = 100;
        CUdeviceptr a = upload(numbers(n, 1));
        CUdeviceptr b = upload(numbers(n, 0.5f));
        CUdeviceptr c = new CUdeviceptr();
        call(JCudaDriver.cuMemAlloc(c, 4L * n));
        text("lacunaEmulatorCounts");
        call(launch(function("add"), THREADS, 0, null, n, Pointer.to(a), Pointer.to(b), Pointer.to(c), Pointer.to(new int[]{n})));
        call(JCudaDriver.cuCtxSynchronize());
        assertArrayEquals(numbers(n, 1.5f), download(c, n));

        String counts = text("lacunaEmulatorCounts");
        assertEquals(1, counts.lines().count(), counts);
        // four warps read 100 floats of each of two inputs: 3 x 128 bytes and 16 bytes, in sectors of 32 bytes
        assertTrue(counts.startsWith("{\"kernel\":\"add\",\"grid\":[2,1,1],\"block\":[64,1,1]"), counts);
        assertEquals("", text("lacunaEmulatorCounts"), "taken once");
        assertTrue(counts.matches("(?s).*\"global_load\":\\{\"requests\":8,\"sectors\":26,\"ideal_?[sS]ectors\":26,\"bytes\":800.*"),
                counts);
    }

    @Test
    void aCapturedGraphReadsWhatIsInItsBuffersWhenItRuns() {
        int n = 70;
        CUstream stream = new CUstream();
        call(JCudaDriver.cuStreamCreate(stream, 1));
        CUdeviceptr a = upload(numbers(n, 1));
        CUdeviceptr b = upload(numbers(n, 2));
        CUdeviceptr c = upload(new float[n]);
        float[] by = {10};
        call(JCudaDriver.cuStreamBeginCapture(stream, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
        call(launch(function("add"), THREADS, 0, stream, n, Pointer.to(a), Pointer.to(b), Pointer.to(c), Pointer.to(new int[]{n})));
        call(launch(function("scale"), THREADS, 0, stream, n, Pointer.to(c), Pointer.to(by), Pointer.to(new int[]{n})));
        by[0] = 1000; // parameters are taken at the call
        CUgraph graph = new CUgraph();
        call(JCudaDriver.cuStreamEndCapture(stream, graph));
        assertArrayEquals(new float[n], download(c, n), "nothing has run yet");

        CUgraphExec exec = new CUgraphExec();
        call(JCudaDriver.cuGraphInstantiate(exec, graph, 0));
        call(JCudaDriver.cuGraphDestroy(graph));
        call(JCudaDriver.cuGraphLaunch(exec, stream));
        call(JCudaDriver.cuStreamSynchronize(stream));
        assertArrayEquals(numbers(n, 30), download(c, n));
        call(JCudaDriver.cuMemcpyHtoD(b, Pointer.to(numbers(n, -1)), 4L * n));
        call(JCudaDriver.cuGraphLaunch(exec, stream));
        call(JCudaDriver.cuStreamSynchronize(stream));
        assertArrayEquals(new float[n], download(c, n));
        call(JCudaDriver.cuGraphExecDestroy(exec));
    }

    /** The message names what a person needs; the context is lost, as on a device, and only the context. */
    @Test
    void aWriteBehindTheEndNamesKernelThreadAndAddress() {
        int n = 50;
        CUdeviceptr x = upload(new float[n]);
        refused(CUresult.CUDA_ERROR_ILLEGAL_ADDRESS,
                launch(function("beyond"), THREADS, 0, null, n, Pointer.to(x), Pointer.to(new int[]{n})));
        String message = lastError();
        refused(CUresult.CUDA_ERROR_ILLEGAL_ADDRESS, JCudaDriver.cuMemAlloc(new CUdeviceptr(), 64));
        assertTrue(message.contains("beyond"), message);
        assertTrue(message.contains("37"), message);
        assertTrue(message.matches("(?s).*line \\d+.*"), message);
        assertTrue(message.matches("(?s).*0x[0-9a-f]+.*"), message);

        CUcontext second = new CUcontext();
        CUdevice device = new CUdevice();
        call(JCudaDriver.cuDeviceGet(device, 0));
        call(JCudaDriver.cuCtxCreate(second, 0, device));
        upload(1, 2, 3);
        call(JCudaDriver.cuCtxDestroy(second));
    }

    @Test
    void moreThan48KilobytesOfSharedMemoryMustBeAskedFor() {
        int n = 256;
        CUfunction reverse = function("reverse");
        CUdeviceptr x = upload(numbers(n, 1));
        refused(CUresult.CUDA_ERROR_INVALID_VALUE, launch(reverse, n, 50 << 10, null, n, Pointer.to(x)));
        assertTrue(lastError().contains("reverse: more dynamic shared memory"), lastError());
        call(JCudaDriver.cuFuncSetAttribute(reverse, CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 50 << 10));
        call(launch(reverse, n, 50 << 10, null, n, Pointer.to(x)));
        float[] turned = download(x, n);
        for (int i = 0; i < n; i++) assertEquals(n - 1 - i, turned[i]);
        refused(CUresult.CUDA_ERROR_INVALID_VALUE, launch(reverse, 2 * n, 2048, null, 2 * n, Pointer.to(x)));
        assertTrue(lastError().contains("launch bounds"), lastError());
        int[] blocks = new int[1];
        call(JCudaDriver.cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, reverse, n, 50 << 10));
        assertEquals(3, blocks[0], "of 164 KiB of shared memory a block takes 51");
    }

    @ParameterizedTest
    @CsvSource({".version 99.0, CUDA_ERROR_UNSUPPORTED_PTX_VERSION, PTX 99.0 is newer than this driver",
            ".target sm_120, CUDA_ERROR_INVALID_PTX, sm_120", "add.f31, CUDA_ERROR_INVALID_PTX, line"})
    void modulesThatDoNotLoadSayWhy(String change, String error, String why) throws IOException {
        String ptx = new String(probe(), StandardCharsets.US_ASCII);
        String broken = change.startsWith(".")
                ? ptx.replaceFirst("(?m)^\\Q" + change.substring(0, change.indexOf(' ')) + "\\E .*", change)
                : ptx.replace("add.f32", change);
        int[] options = {CUjit_option.CU_JIT_ERROR_LOG_BUFFER, CUjit_option.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment room = arena.allocate(500);
            MemorySegment pair = arena.allocate(ValueLayout.JAVA_LONG, 2);
            pair.setAtIndex(ValueLayout.JAVA_LONG, 0, room.address());
            pair.setAtIndex(ValueLayout.JAVA_LONG, 1, room.byteSize());
            int result = JCudaDriver.cuModuleLoadDataEx(new CUmodule(), Pointer.to(zeroEnded(broken)), 2, options,
                    Pointer.to(pair.asByteBuffer()));
            assertEquals(error, CUresult.stringFor(result));
            assertTrue(room.getString(0).contains(why), room.getString(0));
            assertEquals(room.getString(0).length() + 1, pair.getAtIndex(ValueLayout.JAVA_LONG, 1));
        }
    }

    @Test
    void machineCodeIsForOtherMachines() {
        byte[] fatbin = {0x50, (byte) 0xed, 0x55, (byte) 0xba, 1, 0, 16, 0};
        refused(CUresult.CUDA_ERROR_NO_BINARY_FOR_GPU, JCudaDriver.cuModuleLoadData(new CUmodule(), fatbin));
    }

    @Test
    void copiesOutsideAnAllocationAreRefused() {
        CUdeviceptr x = upload(1, 2, 3);
        refused(CUresult.CUDA_ERROR_INVALID_VALUE, JCudaDriver.cuMemcpyDtoH(Pointer.to(new float[4]), x, 16));
        assertTrue(lastError().contains("12 bytes"), lastError());
        call(JCudaDriver.cuMemFree(x));
        refused(CUresult.CUDA_ERROR_INVALID_VALUE, JCudaDriver.cuMemFree(x));
        refused(CUresult.CUDA_ERROR_INVALID_VALUE, JCudaDriver.cuMemcpyDtoH(Pointer.to(new float[3]), x, 12));
    }

    /** What the machine and the driver promise, in tests of their own: fragments, faults, streams, kernels compiled by Triton. */
    @Test
    void testsInNativeCodePass() throws Exception {
        Path log = Path.of(System.getProperty("java.io.tmpdir")).resolve("emulator-check.log");
        Path build = Path.of(System.getProperty(Driver.EMULATOR)).toAbsolutePath().getParent().resolveSibling("emulator-build");
        Process check = new ProcessBuilder("sh", emulator().resolve("check").toString(), build.toString()).redirectErrorStream(true)
                .redirectOutput(log.toFile()).start();
        check.getOutputStream().close();
        boolean ended = check.waitFor(20, TimeUnit.MINUTES);
        if (!ended) check.destroyForcibly();
        String said = Files.readString(log);
        assertTrue(ended && check.exitValue() == 0, said);
        assertTrue(said.contains("100% tests passed"), said);
    }

    private static Path emulator() {
        Path at = Path.of("").toAbsolutePath();
        while (!Files.isDirectory(at.resolve(".mvn"))) at = at.getParent();
        return at.resolve("native-build/cuda-emulator");
    }
}
