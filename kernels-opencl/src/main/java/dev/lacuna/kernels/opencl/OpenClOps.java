package dev.lacuna.kernels.opencl;

import dev.lacuna.kernels.opencl.ClBatch.Field;
import dev.lacuna.kernels.opencl.DeviceMemory.Buffer;
import dev.lacuna.ops.Act;
import dev.lacuna.ops.Activation;
import dev.lacuna.ops.Attention;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.Decision;
import dev.lacuna.ops.Embedding;
import dev.lacuna.ops.HeadNorm;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Linear;
import dev.lacuna.ops.Logits;
import dev.lacuna.ops.Norm;
import dev.lacuna.ops.Ops;
import dev.lacuna.ops.Rope;
import dev.lacuna.ops.RowSet;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.TopK;
import dev.lacuna.ops.UnsupportedKernelException;
import dev.lacuna.ops.Use;
import dev.lacuna.ops.Values;
import dev.lacuna.ops.Weight;
import dev.lacuna.ops.Workspace;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import org.jocl.CL;
import org.jocl.cl_command_queue;
import org.jspecify.annotations.Nullable;

/** The operations as kernels of one device, enqueued in the order of their calls; only what is read back is waited for. */
final class OpenClOps implements Ops {
    /** Work-items of a group where a work-item does a value or a block by itself. */
    private static final int ITEMS = 64;
    /** What of a device's memory is taken at most; the rest is the driver's. */
    private static final double SHARE = 0.95;
    private static final int FEW_OUTS = 8;
    private static final int SIDE = 8;
    private static final int TILE_OUTS = 32;
    private static final int TILE_ROWS = 16;
    /** Strands of a product, see {@code sums.cl}. */
    private static final int STRANDS = 8;
    /** Work-items of a group of the cache's kernels. */
    private static final int HEAD_ITEMS = 32;
    private static final int NORM_ITEMS = 64;
    private static final int BEST_ITEMS = 128;
    private static final int SELECT_ITEMS = 128;
    /** Blocks and strands of a group of a weighted sum of chosen rows, see {@code gather.cl}. */
    private static final int COLUMN_BLOCKS = 4;
    private static final int COLUMN_STRANDS = 16;

    private final Programs programs;
    private final cl_command_queue queue;
    private final DeviceMemory memory;
    private final ClBatch batch;
    private final Map<String, Launch> kernels = new HashMap<>();
    private final Map<IntBuffer, Buffer> heads = new HashMap<>();
    private final Set<Decision> decisions = new LinkedHashSet<>();
    private boolean closed;

    static OpenClOps on(Device device) {
        return new OpenClOps(device, (long) (SHARE * device.memory()));
    }

    /** @param limit bytes that may be allocated */
    @SuppressWarnings("deprecation") // OpenCL 1.2 has no other way to make a queue
    OpenClOps(Device device, long limit) {
        programs = Programs.of(device);
        int[] status = new int[1];
        queue = CL.clCreateCommandQueue(programs.context(), device.id(), 0, status);
        OpenClException.check("clCreateCommandQueue", status[0]);
        memory = new DeviceMemory(programs, queue, limit);
        batch = new ClBatch(memory);
    }

    DeviceMemory memory() {
        return memory;
    }

    private Launch kernel(String name, String options, String... sources) {
        if (closed) throw new IllegalStateException("these kernels are closed");
        return kernels.computeIfAbsent(name + options, _ -> new Launch(queue, programs.of(options, sources), name)).begin();
    }

    private Launch rowKernel(String name) {
        return kernel(name, "", "rows");
    }

    private Launch cacheKernel(String name, KvType type) {
        int code = switch (type) {
            case F32 -> 0;
            case F16 -> 1;
            case I8 -> 2;
        };
        return kernel(name, "-DKV=" + code, "cache");
    }

    private Launch embedKernel(Layout layout) {
        return kernel("embed", layout.options(), "formats", "embed");
    }

    private Launch productKernel(String name, Layout layout, Input input) {
        return kernel(name, layout.options() + " " + Layout.options(input), "formats", "sums", "product");
    }

    private Launch gatherKernel(String name, Layout layout, Input input) {
        return kernel(name, layout.options() + " " + Layout.options(input), "formats", "sums", "gather");
    }

    // ---- load time

    @Override
    public List<Weight> place(List<Tensor> tensors, InputPolicy policy, Set<Use> uses) {
        List<Layout> layouts = new ArrayList<>();
        long all = 0, largest = 0;
        for (Tensor t : tensors) {
            Layout layout = supported(t, policy);
            layouts.add(layout);
            long bytes = layout.bytes(t.rows(), t.cols());
            all = Math.addExact(all, bytes);
            largest = Math.max(largest, bytes);
        }
        Tensor first = tensors.getFirst();
        memory.require(tensors.size() == 1 ? first.name() : first.name() + " and " + (tensors.size() - 1) + " beside it", all, largest,
                free -> smaller(tensors, free));
        List<Weight> placed = new ArrayList<>();
        for (int i = 0; i < tensors.size(); i++) {
            Tensor t = tensors.get(i);
            Layout layout = layouts.get(i);
            ClWeight w = new ClWeight(t.rows(), t.cols(), layout, policy, memory.allocate(t.name(), layout.bytes(t.rows(), t.cols())));
            layout.send(t, w.data(), memory);
            placed.add(w);
            compile(layout, policy, uses);
        }
        return placed;
    }

    private static Layout supported(Tensor t, InputPolicy policy) {
        policy.require(t.name(), "OpenCL", Layout.INPUTS);
        Layout layout = Layout.of(t.format());
        List<String> known = Layout.ALL.stream().map(l -> l.format().name()).toList();
        if (layout == null) {
            throw new UnsupportedKernelException(
                    "%s is %s: no OpenCL kernel takes %s with inputs in %s; they take %s. Re-encode at load: --weights %s"
                            .formatted(t.name(), t.format(), t.format(), policy, known, Layout.instead(t.format())));
        }
        for (Input input : List.of(policy.fewRows(), policy.manyRows())) {
            if (input.equals(Input.F32) || t.format().kind() != Format.Kind.FLOAT) continue;
            throw new UnsupportedKernelException(
                    "%s is %s: no OpenCL kernel takes %s with inputs in %s; inputs in F32 do. Re-encode at load: --weights %s"
                            .formatted(t.name(), t.format(), t.format(), input, Format.Q8_0));
        }
        return layout;
    }

    /** What to do about weights that do not fit. */
    private static String smaller(List<Tensor> tensors, long free) {
        for (Format format : List.of(Format.Q8_0, Format.Q4_0)) {
            Layout layout = Layout.of(format);
            if (layout == null || tensors.stream().anyMatch(t -> t.cols() % format.group() != 0)) continue;
            long bytes = tensors.stream().mapToLong(t -> layout.bytes(t.rows(), t.cols())).sum();
            if (bytes <= free) return DeviceMemory.mb(bytes) + " in " + format + " would fit";
        }
        return "no format of it would fit";
    }

    /** Compiles what the weight will need, so that no step waits for it, and says so. */
    private void compile(Layout layout, InputPolicy policy, Set<Use> uses) {
        String device = programs.device().name();
        if (uses.contains(Use.EMBED) && decisions.add(new Decision("embed", layout.format().name(), "opencl, embed", "on " + device))) {
            embedKernel(layout);
        }
        if (uses.contains(Use.COLUMNS)
                && decisions.add(new Decision("columns", layout.format().name(), "opencl, columns", "on " + device))) {
            gatherKernel("columns", layout, Input.F32);
        }
        if (uses.contains(Use.ROWS)) {
            for (Input input : List.of(policy.fewRows(), policy.manyRows())) {
                if (decisions.add(new Decision("rows", layout.format() + " x " + input, "opencl, rows", "on " + device))) {
                    gatherKernel("rows8", layout, input);
                }
            }
        }
        if (!uses.contains(Use.PRODUCT)) return;
        for (Input input : List.of(policy.fewRows(), policy.manyRows())) {
            String reason = "on " + device + ": few to " + InputPolicy.FEW + " rows, many above";
            if (decisions.add(new Decision("product", layout.format() + " x " + input, "opencl, few and many", reason))) {
                productKernel("many", layout, input);
            }
        }
    }

    /** Every format: rows are found in its planes as blocks are. */
    @Override
    public List<Format> gathers() {
        return Layout.ALL.stream().map(Layout::format).toList();
    }

    @Override
    public Values values(float[] v) {
        ClValues values = new ClValues(v.length, memory.allocate(v.length + " values", Math.multiplyExact((long) v.length, Float.BYTES)));
        send(values.data(), v, 0, 0, v.length);
        return values;
    }

    @Override
    public KvPool kv(KvSpec spec, int blocks) {
        return new ClKvPool(spec, blocks, memory);
    }

    @Override
    public Workspace workspace(Limits max) {
        batch.reserve(max);
        return new ClWorkspace(max, memory);
    }

    @Override
    public OptionalLong available() {
        return OptionalLong.of(memory.free());
    }

    @Override
    public List<Decision> decisions() {
        return List.copyOf(decisions);
    }

    // ---- one step

    @Override
    public void run(Step key, Batch b, Runnable body) {
        if (closed) throw new IllegalStateException("these kernels are closed");
        batch.begin(b);
        try {
            body.run();
            OpenClException.check("clFlush", CL.clFlush(queue));
        } finally {
            batch.end();
        }
    }

    // ---- operations on rows

    /** Packs the floats of an activation if it is to be read so. */
    private void pack(ClAct a, int rows) {
        if (!a.isPacked()) return;
        rowKernel("pack").memory(a.floats()).number(a.stride()).number(rows).memory(a.codes()).memory(a.scales()).run(
                groups(a.blocks()), rows, ITEMS, 1);
    }

    private static long groups(int n) {
        return Math.ceilDiv(n, ITEMS);
    }

    @Override
    public void embed(Embedding e, Act x) {
        ClAct to = (ClAct) x;
        int rows = batch.rows();
        to.begin(rows);
        look((ClWeight) e.table(), Field.IDS, 0, e.scale(), false, to, rows);
        ClWeight learned = (ClWeight) e.positions();
        if (learned != null) look(learned, Field.POSITIONS, e.offset(), 1, true, to, rows);
        pack(to, rows);
    }

    private void look(ClWeight w, Field index, int offset, float scale, boolean add, ClAct to, int rows) {
        embedKernel(w.layout()).memory(w.data()).size(w.scalesAt()).size(w.zerosAt()).memory(batch.of(index)).number(offset).real(scale)
                .flag(add).number(to.cols()).number(to.stride()).number(rows).memory(to.floats()).run(groups(to.blocks()), rows, ITEMS, 1);
    }

    @Override
    public void addNorm(Act residual, @Nullable Act delta, @Nullable Norm post, @Nullable Norm norm, boolean keepNormed,
            @Nullable Act out) {
        ClAct res = (ClAct) residual;
        ClAct add = delta == null ? res : (ClAct) delta;
        ClAct to = out == null ? res : (ClAct) out;
        int rows = batch.rows();
        if (out != null) to.begin(rows);
        Launch launch = rowKernel("norm").memory(res.floats()).number(res.cols()).number(res.stride()).memory(add.floats())
                .flag(delta != null);
        norm(launch, delta == null ? null : post, res);
        norm(launch, norm, res);
        launch.flag(keepNormed).flag(to.isPacked()).memory(to.floats()).memory(to.codes()).memory(to.scales()).run(rows, 1, NORM_ITEMS, 1);
    }

    /** A norm's kind, gain, bias and epsilon; where there is none, some buffer stands for what nobody reads. */
    private static void norm(Launch launch, @Nullable Norm norm, ClAct some) {
        if (norm == null) {
            launch.number(0).memory(some.floats()).memory(some.floats()).number(0).real(0);
            return;
        }
        Buffer gain = ((ClValues) norm.gain()).data();
        ClValues bias = (ClValues) norm.bias();
        launch.number(norm.kind() == Norm.Kind.RMS ? 1 : 2).memory(gain).memory(bias == null ? gain : bias.data()).flag(bias != null)
                .real(norm.eps());
    }

    /** As {@code rows.cl} numbers them. */
    private static int code(Activation f) {
        return switch (f) {
            case SILU -> 0;
            case GELU_TANH -> 1;
            case GELU_ERF -> 2;
            case RELU -> 3;
        };
    }

    @Override
    public void activate(Activation f, Act gate, @Nullable Act up, Act out) {
        ClAct g = (ClAct) gate;
        ClAct u = up == null ? g : (ClAct) up;
        ClAct to = (ClAct) out;
        int rows = batch.rows();
        to.begin(rows);
        Launch launch = rowKernel(to.isPacked() ? "activate_pack" : "activate").number(code(f)).memory(g.floats()).memory(u.floats())
                .flag(up != null).number(g.cols()).number(g.stride()).number(rows);
        if (to.isPacked()) launch.memory(to.codes()).memory(to.scales()).run(groups(g.blocks()), rows, ITEMS, 1);
        else
            launch.memory(to.floats()).run(groups(g.cols()), rows, ITEMS, 1);
    }

    // ---- the cache

    @Override
    public void ropeAppend(Act q, Act k, Act v, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer) {
        ClKvPool pool = (ClKvPool) kv;
        ClAct qs = (ClAct) q;
        ClAct ks = (ClAct) k;
        ClAct vs = (ClAct) v;
        int size = rope.headSize();
        int qHeads = qs.cols() / size;
        int kvHeads = pool.spec().kvHeads()[layer];
        Buffer table = ((ClValues) rope.table()).data();
        cacheKernel("rope_append", pool.spec().type()).memory(qs.floats()).number(qs.stride()).number(qHeads).memory(ks.floats())
                .memory(vs.floats()).number(ks.stride()).number(kvHeads).flag(norm != null)
                .memory(norm == null ? table : ((ClValues) norm.q()).data()).memory(norm == null ? table : ((ClValues) norm.k()).data())
                .real(norm == null ? 0 : norm.eps()).memory(table).number(rope.dims()).number(size).flag(rope.interleaved())
                .memory(pool.layer(layer)).memory(batch.of(Field.POSITIONS)).memory(batch.of(Field.BLOCKS)).floats(size)
                .run(qHeads + 2L * kvHeads, batch.rows(), HEAD_ITEMS, 1);
    }

    @Override
    public void attend(Act q, KvPool kv, int layer, Attention a, Act out) {
        ClKvPool pool = (ClKvPool) kv;
        ClAct qs = (ClAct) q;
        ClAct to = (ClAct) out;
        int rows = batch.rows();
        to.begin(rows);
        cacheKernel("attend", pool.spec().type()).memory(qs.floats()).number(qs.stride()).memory(pool.layer(layer))
                .memory(batch.of(Field.POSITIONS)).memory(batch.of(Field.SEQUENCES)).memory(batch.of(Field.TABLE))
                .number(batch.batch().kvBlocks()).memory(heads(a.kvOf())).number(pool.spec().kvHeads()[layer]).number(a.headSize())
                .real(a.scale()).real(a.softCap()).number(a.window()).memory(to.floats()).floats(a.headSize()).floats(a.headSize())
                .run(a.heads(), rows, HEAD_ITEMS, 1);
        pack(to, rows);
    }

    /** The list of heads on the device, sent when it is first seen. */
    private Buffer heads(int[] kvOf) {
        Buffer known = heads.get(IntBuffer.wrap(kvOf));
        if (known != null) return known;
        Buffer buffer = memory.allocate("a list of heads", (long) kvOf.length * Integer.BYTES);
        MemorySegment.copy(kvOf, 0, memory.stage(), ValueLayout.JAVA_INT, 0, kvOf.length);
        memory.send(buffer, 0, (long) kvOf.length * Integer.BYTES);
        heads.put(IntBuffer.wrap(kvOf.clone()), buffer);
        return buffer;
    }

    // ---- products

    /** How many rows of those a work-group of a kernel of few rows takes. */
    private static int tile(int rows) {
        return rows == 1 ? 1 : rows <= 4 ? 4 : 8;
    }

    /** Adds a weight and its bias; where there is none, some buffer stands for what nobody reads. */
    private static Launch weight(Launch launch, Linear linear, int outs) {
        ClWeight w = (ClWeight) linear.weight();
        ClValues bias = (ClValues) linear.bias();
        return launch.memory(w.data()).size(w.scalesAt()).size(w.zerosAt()).number(outs).number(Layout.blocks(w.cols()))
                .memory(bias == null ? w.data() : bias.data()).flag(bias != null);
    }

    /** Adds the operands of a product as {@code sums.cl} has them. */
    private static Launch operands(Launch launch, ClAct x, Linear linear, ClAct y, Buffer index, int rows, float cap) {
        return weight(launch, linear, linear.weight().rows()).memory(x.floats()).memory(x.codes()).memory(x.scales()).memory(index)
                .number(rows).real(cap).memory(y.floats()).number(y.stride());
    }

    private void product(ClAct x, Linear linear, ClAct y, Buffer index, int rows, float cap) {
        ClWeight w = (ClWeight) linear.weight();
        boolean few = rows <= InputPolicy.FEW;
        int tile = tile(rows);
        Launch launch = operands(productKernel(few ? "few" + tile : "many", w.layout(), x.packed()), x, linear, y, index, rows, cap);
        if (few) launch.run(Math.ceilDiv(w.rows(), FEW_OUTS), Math.ceilDiv(rows, tile), STRANDS, FEW_OUTS);
        else
            launch.run(Math.ceilDiv(w.rows(), TILE_OUTS), Math.ceilDiv(rows, TILE_ROWS), SIDE, SIDE);
    }

    @Override
    public void linear(Act x, Linear w, Act y) {
        int rows = batch.rows();
        ((ClAct) y).begin(rows);
        product((ClAct) x, w, (ClAct) y, batch.of(Field.EACH), rows, 0);
    }

    @Override
    public void logits(Act x, Linear w, float softCap, Logits out) {
        ClWorkspace.Scores scores = (ClWorkspace.Scores) out;
        scores.rows = batch.batch().logitRows();
        if (scores.rows > 0) product((ClAct) x, w, scores.v, batch.of(Field.LOGIT_ROWS), scores.rows, softCap);
    }

    @Override
    public void topK(Logits l, int k, TopK out) {
        ClWorkspace.Scores scores = (ClWorkspace.Scores) l;
        ClWorkspace.Best best = (ClWorkspace.Best) out;
        best.rows = batch.batch().logitRows();
        if (best.rows == 0) return;
        rowKernel("best").memory(scores.v.floats()).number(scores.v.stride()).number(scores.v.cols()).number(k).memory(best.ids)
                .run(best.rows, 1, BEST_ITEMS, 1);
    }

    // ---- chosen rows

    @Override
    public void select(Act scores, float threshold, RowSet out) {
        ClAct from = (ClAct) scores;
        rowKernel("select_above").memory(from.floats()).number(from.cols()).number(from.stride()).memory(batch.of(Field.SEQUENCES))
                .number(batch.rows()).real(threshold).memory(((ClRowSet) out).data()).run(1, 1, SELECT_ITEMS, 1);
    }

    @Override
    public void rows(Act x, Linear w, RowSet active, Act compact) {
        ClAct from = (ClAct) x;
        ClAct to = (ClAct) compact;
        ClWeight weight = (ClWeight) w.weight();
        int rows = batch.rows();
        int tile = tile(rows);
        to.begin(rows);
        operands(gatherKernel("rows" + tile, weight.layout(), from.packed()), from, w, to, batch.of(Field.EACH), rows, 0)
                .memory(((ClRowSet) active).data()).run(Math.ceilDiv(weight.rows(), FEW_OUTS), Math.ceilDiv(rows, tile), STRANDS, FEW_OUTS);
    }

    @Override
    public void columns(Act compact, Linear wT, RowSet active, Act y) {
        ClAct from = (ClAct) compact;
        ClAct to = (ClAct) y;
        int rows = batch.rows();
        to.begin(rows);
        weight(gatherKernel("columns", ((ClWeight) wT.weight()).layout(), Input.F32), wT, to.cols()).memory(from.floats())
                .number(from.stride()).memory(((ClRowSet) active).data()).memory(to.floats()).number(to.stride())
                .run(Math.ceilDiv(to.blocks(), COLUMN_BLOCKS), rows, COLUMN_BLOCKS, COLUMN_STRANDS);
    }

    // ---- outside run()

    @Override
    public void write(RowSet set, int[] rows) {
        ClRowSet to = (ClRowSet) set;
        memory.stage(to.data().bytes());
        memory.stage().set(ValueLayout.JAVA_INT, 0, rows.length);
        MemorySegment.copy(rows, 0, memory.stage(), ValueLayout.JAVA_INT, Integer.BYTES, rows.length);
        memory.send(to.data(), 0, (1L + rows.length) * Integer.BYTES);
    }

    @Override
    public int[] read(RowSet set) {
        ClRowSet from = (ClRowSet) set;
        memory.stage(from.data().bytes());
        memory.receive(from.data(), 0, Integer.BYTES);
        long bytes = (long) memory.stage().get(ValueLayout.JAVA_INT, 0) * Integer.BYTES;
        if (bytes > 0) memory.receive(from.data(), Integer.BYTES, bytes);
        return memory.stage().asSlice(0, bytes).toArray(ValueLayout.JAVA_INT);
    }

    @Override
    public void write(Act a, float[] v) {
        ClAct to = (ClAct) a;
        int rows = v.length / to.cols();
        if (rows == 0) return;
        to.begin(rows);
        send(to.floats(), v, to.cols(), to.stride(), rows);
        pack(to, rows);
    }

    /** Sends rows of {@code cols} values that begin {@code stride} apart; with neither, {@code n} values. */
    private void send(Buffer to, float[] v, int cols, int stride, int n) {
        int length = Math.max(1, cols), step = Math.max(1, stride);
        memory.stage((long) step * Float.BYTES);
        MemorySegment stage = memory.stage();
        int many = Math.toIntExact(stage.byteSize() / Float.BYTES / step);
        for (int first = 0; first < n; first += many) {
            int rows = Math.min(many, n - first);
            if (length == step) {
                MemorySegment.copy(v, first * length, stage, ValueLayout.JAVA_FLOAT, 0, rows * length);
            } else {
                stage.asSlice(0, (long) rows * step * Float.BYTES).fill((byte) 0);
                for (int r = 0; r < rows; r++) {
                    MemorySegment.copy(v, (first + r) * length, stage, ValueLayout.JAVA_FLOAT, (long) r * step * Float.BYTES, length);
                }
            }
            memory.send(to, (long) first * step * Float.BYTES, (long) rows * step * Float.BYTES);
        }
    }

    @Override
    public float[] read(Act a, int rows) {
        ClAct from = (ClAct) a;
        float[] out = new float[Math.multiplyExact(rows, from.cols())];
        if (from.isPacked()) {
            for (int r = 0; r < rows; r++) unpack(from, r, out);
        } else {
            floats(from, rows, out);
        }
        return out;
    }

    private void floats(ClAct from, int rows, float[] out) {
        long row = (long) from.stride() * Float.BYTES;
        memory.stage(row);
        MemorySegment stage = memory.stage();
        int many = Math.toIntExact(stage.byteSize() / row);
        for (int first = 0; first < rows; first += many) {
            int n = Math.min(many, rows - first);
            memory.receive(from.floats(), first * row, n * row);
            for (int r = 0; r < n; r++) {
                MemorySegment.copy(stage, ValueLayout.JAVA_FLOAT, r * row, out, (first + r) * from.cols(), from.cols());
            }
        }
    }

    private void unpack(ClAct from, int row, float[] out) {
        int cols = from.cols(), blocks = from.blocks();
        memory.stage((long) blocks * 2 * Float.BYTES);
        memory.receive(from.scales(), (long) row * blocks * 2 * Float.BYTES, (long) blocks * 2 * Float.BYTES);
        float[] scales = memory.stage().asSlice(0, (long) blocks * 2 * Float.BYTES).toArray(ValueLayout.JAVA_FLOAT);
        memory.stage(cols);
        memory.receive(from.codes(), (long) row * from.stride(), cols);
        for (int c = 0; c < cols; c++) {
            out[row * cols + c] = memory.stage().get(ValueLayout.JAVA_BYTE, c) * scales[c / Layout.BLOCK * 2];
        }
    }

    @Override
    public float[] read(Logits l) {
        ClWorkspace.Scores scores = (ClWorkspace.Scores) l;
        return read(scores.v, scores.rows);
    }

    @Override
    public int[] read(TopK t) {
        ClWorkspace.Best best = (ClWorkspace.Best) t;
        int n = best.rows * best.k;
        if (n == 0) return new int[0];
        memory.stage((long) n * Integer.BYTES);
        memory.receive(best.ids, 0, (long) n * Integer.BYTES);
        return memory.stage().asSlice(0, (long) n * Integer.BYTES).toArray(ValueLayout.JAVA_INT);
    }

    @Override
    public void close() {
        if (closed) return;
        closed = true;
        int status = CL.clFinish(queue);
        kernels.values().forEach(Launch::close);
        memory.close();
        OpenClException.check("clReleaseCommandQueue", CL.clReleaseCommandQueue(queue));
        OpenClException.check("clFinish", status);
    }
}
