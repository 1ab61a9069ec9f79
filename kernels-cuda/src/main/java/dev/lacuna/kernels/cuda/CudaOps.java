package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Act;
import dev.lacuna.ops.Activation;
import dev.lacuna.ops.Attention;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.Decision;
import dev.lacuna.ops.Embedding;
import dev.lacuna.ops.Ffn;
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
import dev.lacuna.ops.Qkv;
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
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The operations as launches of CUDA kernels. A body only collects them; the first time that its step runs they become a graph, which is replayed from
 * then on. What differs between two replays is in the batch's buffers on the device.
 */
final class CudaOps implements Ops {
    /** Threads of a block of row-wise kernels, and columns that a block of them covers. */
    private static final int THREADS = 256;
    private static final int COLUMNS = 1024;
    /** Inputs that kernels read. */
    static final List<Input> INPUTS = List.of(Input.F32, Input.BF16, Input.I8);
    /** Rows of a product that its kernels for few take at a time. */
    private static final int FEW = 8;
    /** Rows and outputs of a tile of the kernels for many. */
    static final int TILE = 64;
    /** Blocks of the cache that one part of a split attention reads. */
    private static final int SPLIT_BLOCKS = 8;
    /** Parts that a sum of chosen rows is cut into, and how many of the capacity each has at least. */
    private static final int MOST_SPLITS = 8;
    private static final int SPLIT_ROWS = 256;
    /** Values of a head that the kernels of rotation and attention take at most. */
    private static final int MOST_HEAD = 256;

    private final Device device;
    private final Modules modules;
    private final Staging staging;
    private final Graphs graphs;
    private final CudaBatch batch;
    private final DeviceArena constants;
    private final Decisions decisions = new Decisions();
    private final HeadGroups groups;
    private long raw;
    private Graphs.@Nullable Calls recording;
    private boolean closed;

    CudaOps(Device device) {
        this.device = device;
        try {
            modules = new Modules(device);
            staging = new Staging(device);
        } catch (Throwable t) {
            device.close();
            throw t;
        }
        graphs = new Graphs(device);
        batch = new CudaBatch(this);
        constants = new DeviceArena(device);
        groups = new HeadGroups(this);
        decisions.fixed();
    }

    Device device() {
        return device;
    }

    Staging staging() {
        return staging;
    }

    Graphs graphs() {
        return graphs;
    }

    /** Forgets recorded steps, since an address in them is about to be freed. */
    void forgetSteps() {
        device.enter();
        device.finish("cuStreamSynchronize");
        graphs.clear();
    }

    // ---- load time

    @Override
    public List<Weight> place(List<Tensor> tensors, InputPolicy policy, Set<Use> uses) {
        device.enter();
        policy.require(tensors.getFirst().name(), "CUDA", INPUTS);
        for (Tensor t : tensors) requireKernels(t, policy, uses);
        List<Weight> placed = new ArrayList<>();
        for (Tensor t : tensors) placed.add(place(t, policy, uses));
        device.finish("cuStreamSynchronize after placing " + tensors.getFirst().name());
        return placed;
    }

    /** The kernels that a weight needs for a use. */
    private static List<String> kernels(Use use, Format f, Input input) {
        return switch (use) {
            case EMBED -> List.of("embed_" + f);
            case PRODUCT ->
                List.of("gemv_" + f + "_" + code(input) + "_1", "gemv_" + f + "_" + code(input) + "_8", "gemm_" + f + "_" + code(input));
            case ROWS -> List.of("rows_" + f + "_" + code(input) + "_1", "rows_" + f + "_" + code(input) + "_8");
            case COLUMNS -> List.of("columns_" + f);
        };
    }

    /** The kernel of many rows: two of each four weights have tensor cores of their own, which drivers know from CUDA 12.5 on. */
    private String tiles(Format f, Input input) {
        String sparse = "gemm_sparse_" + f + "_" + code(input);
        return device.sparse() && modules.has(CudaWeight.SPARSE, sparse) ? sparse : "gemm_" + f + "_" + code(input);
    }

    private boolean takes(Format f, Use use, Input input) {
        return INPUTS.contains(input) && kernels(use, f, input).stream().allMatch(k -> modules.has(CudaWeight.module(f), k));
    }

    private void requireKernels(Tensor t, InputPolicy policy, Set<Use> uses) {
        for (Use use : uses) {
            for (Input input : List.of(policy.fewRows(), policy.manyRows())) {
                if (takes(t.format(), use, input)) continue;
                List<Format> others = Format.ALL.stream().filter(o -> takes(o, use, input)).toList();
                throw new UnsupportedKernelException(t.name() + " is " + t.format() + ": there is no CUDA kernel of " + t.format()
                        + " with " + input
                        + " inputs for " + use + "; " + (others.isEmpty()
                                ? ""
                                : "re-encode it at load with --weights " + others.getFirst()
                                        + " (or one of " + others + "), ")
                        + "or use other kernels (--kernels native)");
            }
        }
    }

    private CudaWeight place(Tensor t, InputPolicy policy, Set<Use> uses) {
        Format f = t.format();
        long rowBytes = f.rowBytes(t.cols());
        if (rowBytes > Staging.HALF) {
            throw new UnsupportedKernelException(
                    t.name() + " has rows of " + rowBytes + " bytes; the CUDA backend takes at most " + Staging.HALF);
        }
        int panel = uses.contains(Use.ROWS) || uses.contains(Use.COLUMNS) ? 1 : Sizes.PANEL;
        long bytes = Sizes.weightBytes(f, t.rows(), t.cols(), panel);
        if (raw == 0) raw = device.allocate(Staging.HALF, "staging");
        long address = device.allocate(bytes, "the weight " + t.name() + " (" + t.rows() + " x " + t.cols() + " in " + f + ")");
        device.zero(address, bytes);
        int units = Sizes.ceil(t.cols(), Sizes.placeUnit(f));
        MemorySegment data = t.data();
        staging.through(raw, f.bytes(t.rows(), t.cols()), Math.toIntExact(rowBytes),
                (from, part) -> part.copyFrom(data.asSlice(from, part.byteSize())), (from, n) -> {
                    int rows = Math.toIntExact(n / rowBytes);
                    new Launch("place_" + f, modules.function(CudaWeight.module(f), "place_" + f, 0)).at(raw).at(address)
                            .number(Math.toIntExact(from / rowBytes)).number(rows).number(t.cols()).number(panel)
                            .grid(Sizes.ceil((long) rows * units, THREADS), 1, 1, THREADS).go(device.stream());
                });
        String tiles = tiles(f, policy.manyRows());
        decisions.placed(f, policy, uses, tiles);
        return new CudaWeight(address, t.rows(), t.cols(), f, policy, tiles, bytes);
    }

    @Override
    public Values values(float[] v) {
        device.enter();
        return new CudaValues(constant(v), v.length);
    }

    private long constant(float[] v) {
        long bytes = Sizes.align(Math.max(1, v.length), Sizes.BLOCK) * Float.BYTES;
        long address = constants.zeros(bytes, "values");
        staging.upload(address, MemorySegment.ofArray(v));
        return address;
    }

    /** Integers on the device that stay there for as long as these kernels are open. */
    long constant(int[] v) {
        long address = constants.zeros((long) Integer.BYTES * v.length, "head lists");
        staging.upload(address, MemorySegment.ofArray(v));
        return address;
    }

    @Override
    public KvPool kv(KvSpec spec, int blocks) {
        device.enter();
        if (spec.headSize() > MOST_HEAD) {
            throw new UnsupportedKernelException(
                    "heads of " + spec.headSize() + " values: the CUDA kernels of attention take at most " + MOST_HEAD
                            + "; use --backend cpu");
        }
        decisions.cache(spec.type());
        return new CudaKvPool(spec, blocks, this);
    }

    @Override
    public Workspace workspace(Limits max) {
        device.enter();
        batch.reserve(max);
        return new CudaWorkspace(max, this);
    }

    @Override
    public List<Format> gathers() {
        return Format.ALL.stream().filter(f -> takes(f, Use.ROWS, Input.F32) && takes(f, Use.COLUMNS, Input.F32)).toList();
    }

    @Override
    public InputPolicy inputs() {
        return inputs(device.capability());
    }

    /**
     * The inputs that are fastest on devices of a compute capability. A product of many rows is bound by the instructions that a multiprocessor issues;
     * with bfloat16 it has fewer, since nothing is scaled behind the tensor cores, and costs no quality. But chips without HBM have a half of the A100's
     * tensor rate of bfloat16 in a multiprocessor, GeForce a quarter: there tensor cores become the bound.
     */
    static InputPolicy inputs(int capability) {
        boolean fast = capability == 80 || capability / 10 == 9 || capability / 10 == 10;
        return fast ? new InputPolicy(Input.I8, Input.BF16) : InputPolicy.I8;
    }

    @Override
    public OptionalLong available() {
        device.enter();
        return OptionalLong.of(device.available());
    }

    @Override
    public List<Decision> decisions() {
        return decisions.list();
    }

    @Override
    public boolean captures() {
        return true;
    }

    // ---- one step

    @Override
    public void run(Step key, Batch b, Runnable body) {
        if (recording != null) throw new IllegalStateException("run inside run()");
        device.enter();
        batch.upload(key, b);
        try {
            graphs.run(key, () -> {
                Graphs.Calls calls = new Graphs.Calls();
                recording = calls;
                try {
                    body.run();
                } finally {
                    recording = null;
                }
                return calls;
            });
        } finally {
            batch.end();
        }
    }

    private Graphs.Calls calls(String op) {
        Graphs.Calls c = recording;
        if (c == null) throw new IllegalStateException(op + " outside run()");
        return c;
    }

    /** Adds a launch of a kernel to the step. */
    private Launch launch(String module, String name, int shared) {
        Launch l = new Launch(name, modules.function(module, name, shared));
        calls(name).launches().add(l);
        return l;
    }

    private Launch launch(String module, String name) {
        return launch(module, name, 0);
    }

    private void written(Act a) {
        int rows = batch.rows();
        CudaAct act = (CudaAct) a;
        calls("write").notes().add(() -> act.written(rows));
    }

    /** What of a kernel's name says in what its inputs come. */
    static String code(Input input) {
        return switch (input) {
            case Input.F32 f32 -> "F32";
            case Input.Bf16 bf16 -> "BF16";
            case Input.I8 i8 -> "I8";
        };
    }

    /** As the kernels number them. */
    private static int code(Activation f) {
        return switch (f) {
            case SILU -> 0;
            case GELU_TANH -> 1;
            case GELU_ERF -> 2;
            case RELU -> 3;
        };
    }

    private static int code(KvType type) {
        return switch (type) {
            case F32 -> 0;
            case F16 -> 1;
            case I8 -> 2;
        };
    }

    /** What of a kernel's name says for how many rows it is. */
    private static String count(int rows) {
        return rows == 1 ? "1" : "8";
    }

    // ---- row-wise operations

    private Launch wide(Launch l, int stride, int rows) {
        return l.grid(Sizes.ceil(stride, COLUMNS), rows, 1, THREADS);
    }

    @Override
    public void embed(Embedding e, Act x) {
        CudaAct to = (CudaAct) x;
        CudaWeight table = (CudaWeight) e.table();
        CudaWeight learned = (CudaWeight) e.positions();
        int rows = batch.rows();
        long added = 0;
        if (learned != null) {
            added = to.room().scratch("positions of " + to.cols() + " columns",
                    (long) to.room().limits().rows() * to.stride() * Float.BYTES);
            Launch l = launch(learned.module(), "embed_" + learned.format()).at(batch.positions()).number(e.offset()).at(learned.address())
                    .real(1).at(0).at(added).at(0).at(0).number(rows).number(to.cols());
            wide(l, to.stride(), rows);
        }
        Launch l = launch(table.module(), "embed_" + table.format()).at(batch.ids()).number(0).at(table.address()).real(e.scale())
                .at(added);
        wide(to.output(l, rows).number(rows).number(to.cols()), to.stride(), rows);
        written(x);
    }

    @Override
    public void addNorm(Act residual, @Nullable Act delta, @Nullable Norm post, @Nullable Norm norm, boolean keepNormed,
            @Nullable Act out) {
        CudaAct res = (CudaAct) residual;
        CudaAct to = (CudaAct) out;
        int rows = batch.rows();
        int shared = res.stride() * Float.BYTES;
        Launch l = launch("norm", "add_norm", shared).at(res.floats()).at(delta == null ? 0 : ((CudaAct) delta).floats());
        norm(l, delta == null ? null : post);
        norm(l, norm);
        l.number(keepNormed ? 1 : 0);
        if (to == null) l.at(0).at(0).at(0);
        else
            to.output(l, rows);
        l.number(rows).number(res.cols()).grid(rows, 1, 1, THREADS).shared(shared);
        written(residual);
        if (out != null) written(out);
    }

    private static void norm(Launch l, @Nullable Norm norm) {
        if (norm == null) l.at(0).at(0).number(-1).real(0);
        else
            l.at(CudaValues.of(norm.gain())).at(CudaValues.of(norm.bias())).number(norm.kind() == Norm.Kind.LAYER ? 1 : 0).real(norm.eps());
    }

    @Override
    public void activate(Activation f, Act gate, @Nullable Act up, Act out) {
        CudaAct to = (CudaAct) out;
        int rows = batch.rows();
        Launch l = launch("activate", "activate").at(((CudaAct) gate).floats()).at(up == null ? 0 : ((CudaAct) up).floats());
        wide(to.output(l, rows).number(rows).number(to.cols()).number(code(f)), to.stride(), rows);
        written(out);
    }

    @Override
    public void ropeAppend(Act q, Act k, Act v, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer) {
        CudaKvPool pool = (CudaKvPool) kv;
        int rows = batch.rows();
        int heads = q.cols() / rope.headSize();
        Launch l = launch("rope", "rope_append_" + pool.spec().type()).at(((CudaAct) q).floats()).at(((CudaAct) k).floats())
                .at(((CudaAct) v).floats());
        rotation(l, norm, rope, pool, layer);
        l.number(rows).number(batch.step().kvBlocks()).number(heads).number(pool.spec().kvHeads()[layer]).number(rope.headSize());
        l.grid(Sizes.ceil(heads + 2L * pool.spec().kvHeads()[layer], 4), rows, 1, 128);
        written(q);
        written(k);
    }

    /** From the gains to the block table, which is where the row count stands in some kernels. */
    private void rotation(Launch l, @Nullable HeadNorm norm, Rope rope, CudaKvPool pool, int layer) {
        l.at(norm == null ? 0 : CudaValues.of(norm.q())).at(norm == null ? 0 : CudaValues.of(norm.k())).real(norm == null ? 0 : norm.eps());
        l.at(CudaValues.of(rope.table())).number(rope.dims()).number(rope.interleaved() ? 1 : 0);
        pool.layer(l, layer).at(batch.positions()).at(batch.sequences()).at(batch.table());
    }

    @Override
    public void attend(Act q, KvPool kv, int layer, Attention a, Act out) {
        CudaKvPool pool = (CudaKvPool) kv;
        CudaAct to = (CudaAct) out;
        Limits limits = to.room().limits();
        int rows = batch.rows();
        int kvHeads = pool.spec().kvHeads()[layer];
        int kvBlocks = batch.step().kvBlocks();
        boolean few = rows <= InputPolicy.FEW;
        if (!few && modules.has("flash", flashKernel(pool))) {
            flash((CudaAct) q, pool, layer, a, to);
            return;
        }
        int splits = few ? Sizes.ceil(kvBlocks, SPLIT_BLOCKS) : 1;
        // as many parts as any step of this workspace can have
        long parts = Math.max(limits.rows(), (long) InputPolicy.FEW * Sizes.ceil(limits.kvBlocks(), SPLIT_BLOCKS)) * a.heads();
        String key = "attention of " + a.heads() + " heads of " + a.headSize();
        long sums = to.room().scratch(key, parts * CudaKvPool.padded(a.headSize()) * Float.BYTES);
        long maxima = to.room().scratch(key + ", maxima", parts * 2 * Float.BYTES);
        HeadGroups.Group group = groups.of(a, kvHeads);
        Launch l = launch("attend", "attend_" + pool.spec().type()).at(((CudaAct) q).floats());
        pool.layer(l, layer).at(batch.positions()).at(batch.sequences()).at(batch.table()).at(group.start()).at(group.heads()).at(sums)
                .at(maxima)
                .number(rows).number(kvBlocks).number(a.heads()).number(kvHeads).number(a.headSize()).real(a.scale()).number(a.window())
                .real(a.softCap()).number(splits).grid(kvHeads, rows, splits, 128);
        Launch merge = launch("attend", "attend_merge").at(sums).at(maxima).at(batch.positions()).at(batch.sequences()).at(0);
        wide(to.output(merge, rows).number(rows).number(a.heads()).number(a.headSize()).number(a.window()).number(splits), to.stride(),
                rows);
        written(out);
    }

    /** Values of a head that the tiles of a prompt's attention have room for. */
    private static int flashSize(CudaKvPool pool) {
        int padded = CudaKvPool.padded(pool.spec().headSize());
        return padded <= 64 ? 64 : padded <= 128 ? 128 : 256;
    }

    private static String flashKernel(CudaKvPool pool) {
        return "flash_" + pool.spec().type() + "_" + flashSize(pool);
    }

    /** Attention of many rows: keys and values pass once for each tile of queries. */
    private void flash(CudaAct q, CudaKvPool pool, int layer, Attention a, CudaAct out) {
        int rows = batch.rows();
        int size = flashSize(pool);
        int tile = size == 256 ? 32 : TILE;
        int shared = (tile + TILE) * (size + 4) * Float.BYTES;
        HeadGroups.Group group = groups.of(a, pool.spec().kvHeads()[layer]);
        // a head that is no whole number of blocks cannot pack by itself
        boolean apart = out.of(rows).packed() && a.headSize() % Sizes.BLOCK != 0;
        long floats = apart
                ? out.room().scratch("attention of " + out.cols() + " columns",
                        (long) out.room().limits().rows() * out.stride() * Float.BYTES)
                : 0;
        Launch l = launch("flash", flashKernel(pool), shared).at(q.floats());
        pool.layer(l, layer).at(batch.positions()).at(batch.sequences()).at(batch.table()).at(group.start()).at(group.heads());
        if (apart) l.at(floats).at(0).at(0);
        else
            out.output(l, rows);
        l.number(rows).number(batch.step().kvBlocks()).number(a.heads()).number(pool.spec().kvHeads()[layer]).number(a.headSize())
                .real(a.scale()).number(a.window()).real(a.softCap()).grid(a.heads(), Sizes.ceil(rows, tile), 1, size == 256 ? 64 : 128)
                .shared(shared);
        if (apart) {
            wide(launch("quantize", "quantize").at(floats).at(out.of(rows).values()).at(out.of(rows).scales()).number(rows)
                    .number(out.cols()), out.stride(),
                    rows);
        }
        written(out);
    }

    // ---- products

    private void product(CudaAct x, Linear w, long y, long rowOf, int n, boolean tiles, float softCap) {
        CudaWeight weight = (CudaWeight) w.weight();
        int rows = batch.rows();
        int outs = weight.rows();
        String name = tiles ? weight.tiles() : "gemv_" + weight.format() + "_" + code(weight.policy().of(rows)) + "_" + count(n);
        Launch l = x.input(launch(weight.module(name), name), rows).at(weight.address()).at(CudaValues.of(w.bias())).at(0).at(y).at(rowOf)
                .number(n).number(outs).number(weight.cols()).real(softCap);
        if (tiles) l.grid(Sizes.ceil(outs, TILE), Sizes.ceil(n, weight.tileRows()), 1, 128);
        else
            l.grid(Sizes.ceil(outs, Sizes.PANEL), Sizes.ceil(n, FEW), 1, THREADS);
    }

    @Override
    public void linear(Act x, Linear w, Act y) {
        int rows = batch.rows();
        product((CudaAct) x, w, ((CudaAct) y).floats(), 0, rows, rows > FEW, 0);
        written(y);
    }

    /** By the kernels for few rows, however many there are: a row's scores are the same bits in every step. */
    @Override
    public void logits(Act x, Linear w, float softCap, Logits out) {
        CudaLogits to = (CudaLogits) out;
        int n = batch.step().logitRows();
        calls("logits").notes().add(() -> to.written(n));
        if (n > 0) product((CudaAct) x, w, to.address(), batch.logitRows(), n, false, softCap);
    }

    @Override
    public void topK(Logits l, int k, TopK out) {
        CudaLogits from = (CudaLogits) l;
        CudaTopK to = (CudaTopK) out;
        int n = batch.step().logitRows();
        calls("topK").notes().add(() -> to.written(n));
        if (n == 0) return;
        if (k == 1) {
            launch("topk", "argmax").at(from.address()).at(to.address()).number(n).number(from.vocabulary()).grid(n, 1, 1, 1024);
        } else {
            launch("topk", "top_k").at(from.address()).at(to.address()).at(to.scratch()).number(n).number(from.vocabulary()).number(k)
                    .grid(n, 1, 1, 1024);
        }
    }

    // ---- chosen rows

    @Override
    public void select(Act scores, float threshold, RowSet out) {
        CudaRowSet to = (CudaRowSet) out;
        launch("select", "select_above").at(((CudaAct) scores).floats()).at(batch.sequences()).real(threshold).at(to.active())
                .at(to.count())
                .number(batch.rows()).number(scores.cols()).number(to.capacity()).grid(1, 1, 1, 1024);
    }

    @Override
    public void rows(Act x, Linear w, RowSet active, Act compact) {
        CudaWeight weight = (CudaWeight) w.weight();
        CudaAct in = (CudaAct) x;
        CudaRowSet set = (CudaRowSet) active;
        int n = batch.rows();
        in.input(launch(weight.module(), "rows_" + weight.format() + "_" + code(weight.policy().of(n)) + "_" + count(n)), n)
                .at(weight.address()).at(CudaValues.of(w.bias())).at(0).at(((CudaAct) compact).floats()).at(0)
                .at(set.active()).at(set.count()).number(n).number(set.capacity()).number(weight.cols()).real(0)
                .grid(Sizes.ceil(set.capacity(), 8), Sizes.ceil(n, FEW), 1, THREADS);
        written(compact);
    }

    @Override
    public void columns(Act compact, Linear wT, RowSet active, Act y) {
        CudaWeight weight = (CudaWeight) wT.weight();
        CudaAct to = (CudaAct) y;
        CudaRowSet set = (CudaRowSet) active;
        int n = batch.rows();
        int splits = Math.min(MOST_SPLITS, Sizes.ceil(set.capacity(), SPLIT_ROWS));
        long parts = to.room().scratch("parts of " + to.cols() + " columns",
                (long) MOST_SPLITS * to.room().limits().rows() * to.stride() * Float.BYTES);
        launch(weight.module(), "columns_" + weight.format()).at(((CudaAct) compact).floats()).at(weight.address()).at(set.active())
                .at(set.count()).at(parts).number(n).number(to.cols()).number(set.capacity())
                .grid(Sizes.ceil(to.cols(), COLUMNS), n, splits, THREADS);
        Launch sum = launch("select", "sum_parts").at(parts).at(CudaValues.of(wT.bias())).at(to.floats()).number(splits).number(n)
                .number(to.cols());
        wide(sum, to.stride(), n);
        written(y);
    }

    @Override
    public void write(RowSet set, int[] rows) {
        device.enter();
        CudaRowSet to = (CudaRowSet) set;
        staging.upload(to.active(), MemorySegment.ofArray(rows));
        staging.upload(to.count(), MemorySegment.ofArray(new int[]{rows.length}));
        device.finish("cuStreamSynchronize after a write");
    }

    @Override
    public int[] read(RowSet set) {
        device.enter();
        CudaRowSet from = (CudaRowSet) set;
        return ints(from.active(), ints(from.count(), 1)[0]);
    }

    // ---- fused

    @Override
    public void qkv(Act x, Qkv w, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer, Act q, Act k, Act v) {
        CudaWeight wq = (CudaWeight) w.q().weight();
        CudaWeight wk = (CudaWeight) w.k().weight();
        CudaWeight wv = (CudaWeight) w.v().weight();
        CudaKvPool pool = (CudaKvPool) kv;
        int rows = batch.rows();
        String name = "qkv_" + wq.format() + "_" + code(wq.policy().of(rows)) + "_" + count(rows);
        boolean alike = wq.format().equals(wk.format()) && wq.format().equals(wv.format()) && rope.headSize() % Sizes.PANEL == 0;
        if (rows > FEW || !alike || !modules.has(wq.module(), name)) {
            Ops.super.qkv(x, w, norm, rope, kv, layer, q, k, v);
            return;
        }
        int heads = wq.rows() / rope.headSize();
        int kvHeads = pool.spec().kvHeads()[layer];
        CudaAct in = (CudaAct) x;
        long counters = in.room().scratch("counters of " + (heads + 2 * kvHeads) + " heads", (heads + 2L * kvHeads) * Integer.BYTES);
        Launch l = in.input(launch(wq.module(), name), rows).at(wq.address()).at(wk.address()).at(wv.address())
                .at(CudaValues.of(w.q().bias())).at(CudaValues.of(w.k().bias())).at(CudaValues.of(w.v().bias())).at(((CudaAct) q).floats())
                .at(((CudaAct) k).floats()).at(((CudaAct) v).floats()).at(counters).number(rows).number(wq.cols());
        rotation(l, norm, rope, pool, layer);
        l.number(batch.step().kvBlocks()).number(heads).number(kvHeads).number(rope.headSize()).number(code(pool.spec().type()));
        l.grid(Sizes.ceil(wq.rows(), Sizes.PANEL) + 2 * Sizes.ceil(wk.rows(), Sizes.PANEL), 1, 1, THREADS);
        written(q);
        written(k);
        written(v);
    }

    @Override
    public void ffn(Act x, Ffn w, Act gate, Act up, Act hidden, Act delta) {
        int rows = batch.rows();
        if (!(w instanceof Ffn.Gated g) || !fused(g, rows)) {
            Ops.super.ffn(x, w, gate, up, hidden, delta);
            return;
        }
        CudaWeight wg = (CudaWeight) g.gate().weight();
        CudaWeight wu = (CudaWeight) g.up().weight();
        CudaAct in = (CudaAct) x;
        Launch l = in.input(launch(wg.module(), ffnKernel(wg, rows)), rows).at(wg.address()).at(wu.address())
                .at(CudaValues.of(g.gate().bias())).at(CudaValues.of(g.up().bias()));
        ((CudaAct) hidden).output(l, rows).number(rows).number(wg.rows()).number(wg.cols()).number(code(g.activation()))
                .grid(Sizes.ceil(wg.rows(), 32), rows > FEW ? Sizes.ceil(rows, 2 * TILE) : 1, 1, rows > FEW ? 128 : THREADS);
        written(hidden);
        linear(hidden, g.down(), delta);
    }

    private boolean fused(Ffn.Gated g, int rows) {
        CudaWeight wg = (CudaWeight) g.gate().weight();
        return wg.format().equals(g.up().weight().format()) && modules.has(wg.module(), ffnKernel(wg, rows));
    }

    private static String ffnKernel(CudaWeight gate, int rows) {
        String of = gate.format() + "_" + code(gate.policy().of(rows));
        return rows > FEW ? "gemm_ffn_" + of : "ffn_" + of + "_" + count(rows);
    }

    // ---- transfers

    @Override
    public void write(Act a, float[] v) {
        device.enter();
        CudaAct to = (CudaAct) a;
        int rows = v.length / to.cols();
        to.written(rows);
        CudaAct.Place place = to.latest();
        switch (place.input()) {
            case Input.F32 f32 -> upload(place.values(), v, rows, to.cols(), to.stride());
            case Input.Bf16 bf16 -> staging.upload(place.values(), MemorySegment.ofArray(Bfloats.of(v, to.cols())));
            case Input.I8 i8 -> {
                Packing packing = Packing.of(v, to.cols());
                staging.upload(place.values(), MemorySegment.ofArray(packing.codes()));
                staging.upload(place.scales(), MemorySegment.ofArray(packing.scales()));
            }
        }
        device.finish("cuStreamSynchronize after a write");
    }

    @Override
    public float[] read(Act a, int rows) {
        device.enter();
        CudaAct from = (CudaAct) a;
        CudaAct.Place place = from.latest();
        return switch (place.input()) {
            case Input.F32 f32 -> floats(place.values(), rows, from.cols(), from.stride());
            case Input.Bf16 bf16 -> {
                short[] bits = new short[rows * from.stride()];
                download(place.values(), MemorySegment.ofArray(bits));
                yield Bfloats.unpack(bits, rows, from.cols());
            }
            case Input.I8 i8 -> {
                Packing packing = Packing.room(rows, from.cols());
                download(place.values(), MemorySegment.ofArray(packing.codes()));
                download(place.scales(), MemorySegment.ofArray(packing.scales()));
                yield packing.unpack(rows, from.cols());
            }
        };
    }

    private void upload(long address, float[] v, int rows, int cols, int stride) {
        staging.upload(address, (long) rows * stride * Float.BYTES, stride * Float.BYTES, (from, part) -> {
            part.fill((byte) 0);
            int first = Math.toIntExact(from / Float.BYTES / stride);
            int n = Math.toIntExact(part.byteSize() / Float.BYTES / stride);
            for (int r = 0; r < n; r++) {
                MemorySegment.copy(v, (first + r) * cols, part, ValueLayout.JAVA_FLOAT, (long) r * stride * Float.BYTES, cols);
            }
        });
    }

    private void download(long address, MemorySegment to) {
        staging.download(address, to.byteSize(), 1, (at, part) -> to.asSlice(at, part.byteSize()).copyFrom(part));
    }

    private float[] floats(long address, int rows, int cols, int stride) {
        float[] out = new float[rows * cols];
        staging.download(address, (long) rows * stride * Float.BYTES, stride * Float.BYTES, (at, part) -> {
            int first = Math.toIntExact(at / Float.BYTES / stride);
            int n = Math.toIntExact(part.byteSize() / Float.BYTES / stride);
            for (int r = 0; r < n; r++) {
                MemorySegment.copy(part, ValueLayout.JAVA_FLOAT, (long) r * stride * Float.BYTES, out, (first + r) * cols, cols);
            }
        });
        return out;
    }

    @Override
    public float[] read(Logits l) {
        device.enter();
        CudaLogits from = (CudaLogits) l;
        return floats(from.address(), from.rows(), from.vocabulary(), from.stride());
    }

    @Override
    public int[] read(TopK t) {
        device.enter();
        CudaTopK from = (CudaTopK) t;
        return ints(from.address(), from.rows() * from.k());
    }

    private int[] ints(long address, int n) {
        int[] out = new int[n];
        staging.download(address, (long) n * Integer.BYTES, Integer.BYTES,
                (at, part) -> MemorySegment.copy(part, ValueLayout.JAVA_INT, 0, out,
                        Math.toIntExact(at / Integer.BYTES), Math.toIntExact(part.byteSize() / Integer.BYTES)));
        return out;
    }

    @Override
    public void close() {
        if (closed) return;
        forgetSteps();
        closed = true;
        constants.close();
        staging.close();
        modules.close();
        device.close();
    }
}
