package dev.lacuna.kernels.cpu;

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
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The operations, cut into parts for the team; a part is one call of a C kernel on operands outside the heap. */
final class NativeOps implements Ops {
    /** Rows that the caller does alone: waking the team would take longer. */
    private static final int ALONE = 2;
    /** Rows of a step that are few, as {@code MANY} of product.h has it, and rows of a part of row-wise work when they are many. */
    private static final int FEW = 12;
    private static final int ROWS = 8;
    /** Parts for each thread when rows are few: enough for balance beside a busy core, not so many that handing out costs. */
    private static final int PARTS = 4;
    /** Most and fewest tiles of a part when rows are many: what is unpacked together, and what shares loads of activations. */
    private static final int MANY_TILES = 4, PAIR = 2;

    /** Blocks of columns that a part of a sum of chosen rows has at least: shorter runs of memory cost more than a thread that waits. */
    private static final int RUN = 8;

    private final NativeLibrary library;
    private final NativeKernels kernels;
    private final Team team;
    private final Arena arena = Arena.ofShared();
    private final Args args = new Args(arena);
    private final Args second = new Args(arena);
    private final Args third = new Args(arena);
    private final NativeMemory memory;
    private final NativeBatch batch;
    private final NativeTiles tiles;
    private final NativeScratch scratch;
    private final Set<Decision> decisions = new LinkedHashSet<>();

    NativeOps(NativeLibrary library, NativeKernels kernels, Team team, NativeMemory memory) {
        this.library = library;
        this.kernels = kernels;
        this.team = team;
        this.memory = memory;
        batch = new NativeBatch(memory);
        tiles = new NativeTiles(memory);
        scratch = new NativeScratch(library, memory, team.threads());
    }

    // ---- load time

    @Override
    public List<Weight> place(List<Tensor> tensors, InputPolicy policy, Set<Use> uses) {
        List<Weight> placed = new ArrayList<>();
        for (Tensor t : tensors) {
            NativeFormat format = NativeFormat.of(t.format());
            if (format == null) throw new UnsupportedKernelException(t.name() + " is " + t.format() + ": the C kernels know " + Format.ALL);
            scratch.cols(t.cols());
            boolean gathered = uses.contains(Use.ROWS) || uses.contains(Use.COLUMNS);
            placed.add(gathered ? placeRows(t, format, policy) : place(t, format, policy));
            decide(t.format(), policy, uses);
        }
        return placed;
    }

    private NativeWeight place(Tensor t, NativeFormat format, InputPolicy policy) {
        int n = NativeWeight.tiles(t.rows());
        NativeWeight w;
        try (Arena copy = Arena.ofShared()) {
            MemorySegment source = t.data();
            if (!source.isNative()) source = copy.allocate(source.byteSize(), 64).copyFrom(source);
            long tileBytes = format.variable() ? 0 : library.tileBytes(format, t.cols());
            MemorySegment tiles = format.variable()
                    ? tilesOf(t, format, policy, source, copy)
                    : memory.weights(Math.addExact(Math.multiplyExact(n, tileBytes), format.readBeyond()), arena);
            w = new NativeWeight(t.rows(), t.cols(), t.format(), policy, format, tiles, tileBytes);
            args.begin().memory(source, source.byteSize(), 1).memory(tiles, tiles.byteSize(), 64)
                    .number(format.variable() ? 0 : t.format().rowBytes(t.cols())).weight(w, null);
            run(kernels.pack, args, n, Math.max(1, n / (team.threads() * PARTS)));
        }
        library.forget(t.data());
        return w;
    }

    /** Rows as the file packs them, each at the beginning of a line. */
    private NativeRows placeRows(Tensor t, NativeFormat format, InputPolicy policy) {
        long stride = NativeRows.stride(t.format(), t.cols());
        NativeRows w = new NativeRows(t.rows(), t.cols(), t.format(), policy, format,
                memory.weights(Math.multiplyExact(t.rows(), stride), arena), stride);
        int step = Math.max(1, t.rows() / (team.threads() * PARTS));
        team.run((t.rows() + step - 1) / step, (part, worker) -> {
            for (int r = part * step; r < Math.min(t.rows(), (part + 1) * step); r++) w.put(t, r);
        });
        library.forget(t.data());
        return w;
    }

    @Override
    public List<Format> gathers() {
        return NativeRows.FORMATS;
    }

    /** Room for tiles that differ in length, with the offset of each at the beginning: they are measured before they are packed. */
    private MemorySegment tilesOf(Tensor t, NativeFormat format, InputPolicy policy, MemorySegment source, Arena copy) {
        int n = NativeWeight.tiles(t.rows());
        NativeWeight sizes = new NativeWeight(t.rows(), t.cols(), t.format(), policy, format, memory.weights((long) n * Long.BYTES, copy),
                Long.BYTES);
        args.begin().memory(source, source.byteSize(), 1).none().number(0).weight(sizes, null);
        run(kernels.pack, args, n, Math.max(1, n / (team.threads() * PARTS)));
        long[] offset = new long[n];
        long at = line((long) n * Long.BYTES);
        for (int i = 0; i < n; i++) {
            offset[i] = at;
            long bytes = sizes.data().getAtIndex(ValueLayout.JAVA_LONG, i);
            // blocks are found by offsets of 32 bits
            if (bytes > 0xFFFFFFFFL)
                throw new UnsupportedKernelException(t.name() + " has rows of " + t.cols() + ", too long for " + t.format());
            at = Math.addExact(at, line(bytes));
        }
        MemorySegment tiles = memory.weights(Math.addExact(at, format.readBeyond()), arena);
        MemorySegment.copy(offset, 0, tiles, ValueLayout.JAVA_LONG, 0, n);
        return tiles;
    }

    private static long line(long bytes) {
        return Math.addExact(bytes, 63) / 64 * 64;
    }

    NativeMemory memory() {
        return memory;
    }

    private void decide(Format format, InputPolicy policy, Set<Use> uses) {
        String kernel = "native, " + kernels.isa;
        if (uses.contains(Use.EMBED)) decisions.add(new Decision("embed", format.name(), kernel, "rows are looked up in the tiles"));
        if (uses.contains(Use.ROWS)) decisions.add(new Decision("rows", format + " x " + policy, kernel, "each row one run of memory"));
        if (uses.contains(Use.COLUMNS))
            decisions.add(new Decision("columns", format + " x " + policy, kernel, "transposed, each row one run"));
        if (!uses.contains(Use.PRODUCT)) return;
        for (Input input : List.of(policy.fewRows(), policy.manyRows())) {
            decisions.add(new Decision("product", format + " x " + input, kernel, reason(format, input)));
        }
    }

    private String reason(Format format, Input input) {
        boolean amx = kernels.isa.equals("amx");
        // a tile is 64 columns of bytes deep, and what is scaled inside it cannot be summed there
        boolean deep = format.equals(Format.I8_ROW) || (format.kind() == Format.Kind.INTEGER && format.group() >= 64);
        String tiles = format.kind() == Format.Kind.SPARSE
                ? "tiles of 16 rows under masks, expanded in registers"
                : "tiles of 16 rows, each byte read once";
        return switch (input) {
            case Input.F32 f32 -> tiles;
            case Input.Bf16 bf16 -> switch (kernels.isa) {
                case "amx" -> "tdpbf16ps for more than " + FEW + " rows";
                case "avx512bf16" -> "vdpbf16ps";
                default -> "no instruction for bfloat16: single precision";
            };
            case Input.I8 i8 -> amx && deep && i8.block() != 32 ? "tdpbsud for more than " + FEW + " rows" : tiles;
        };
    }

    /** Bfloat16 costs no quality and has the rate of many scales on tiles; elsewhere bytes are several times as fast. */
    @Override
    public InputPolicy inputs() {
        return kernels.isa.equals("amx") ? new InputPolicy(Input.I8, Input.BF16) : InputPolicy.I8;
    }

    @Override
    public Values values(float[] v) {
        MemorySegment to = memory.allocate((long) NativeAct.padded(Math.max(1, v.length)) * Float.BYTES, arena);
        MemorySegment.copy(v, 0, to, ValueLayout.JAVA_FLOAT, 0, v.length);
        return new NativeValues(to, v.length);
    }

    @Override
    public KvPool kv(KvSpec spec, int blocks) {
        return new CpuKvPool(spec, blocks, new PlainKernels(), memory);
    }

    @Override
    public Workspace workspace(Limits max) {
        return new NativeWorkspace(max, this);
    }

    void reserve(int cols) {
        scratch.cols(cols);
    }

    void reserveRows(Limits limits) {
        scratch.rows(limits.rows());
        batch.reserve(limits);
        tiles.reserve(limits.rows());
    }

    @Override
    public List<Decision> decisions() {
        return List.copyOf(decisions);
    }

    // ---- one step

    @Override
    public void run(Step key, Batch b, Runnable body) {
        batch.begin(b);
        try {
            body.run();
        } finally {
            batch.end();
        }
    }

    private void run(NativeKernels.Kernel kernel, Args a, int n, int step) {
        team.run((n + step - 1) / step,
                (part, worker) -> kernel.run(a, (long) part * step, Math.min(n, (part + 1) * step), scratch.of(worker)));
    }

    /** Row-wise work. */
    private void rows(NativeKernels.Kernel kernel, Args a, int n) {
        if (n <= ALONE) kernel.run(a, 0, n, scratch.of(0));
        else
            run(kernel, a, n, n <= ROWS * team.threads() ? 1 : ROWS);
    }

    /** Tiles of a part; of many rows as many as leave all threads with the same. */
    private int step(int n, int rows) {
        if (rows <= FEW) return Math.max(1, n / (team.threads() * PARTS));
        int most = n % (MANY_TILES * team.threads()) == 0 ? MANY_TILES : PAIR;
        return Math.min(most, Math.max(1, n / team.threads()));
    }

    // ---- row-wise operations

    @Override
    public void embed(Embedding e, Act x) {
        NativeAct to = (NativeAct) x;
        NativeWeight learned = (NativeWeight) e.positions();
        int rows = batch.rows();
        to.begin(rows);
        args.begin().weight((NativeWeight) e.table(), null);
        if (learned == null) args.noWeight();
        else
            args.weight(learned, null);
        args.act(to, rows).ints(batch.ids(), rows).ints(batch.positions(), rows).number(e.offset()).real(e.scale());
        rows(kernels.embed, args, rows);
    }

    @Override
    public void addNorm(Act residual, @Nullable Act delta, @Nullable Norm post, @Nullable Norm norm, boolean keepNormed,
            @Nullable Act out) {
        NativeAct res = (NativeAct) residual;
        NativeAct to = (NativeAct) out;
        int rows = batch.rows();
        args.begin().act(res, rows);
        if (delta == null) args.noAct();
        else
            args.act((NativeAct) delta, rows);
        if (to == null) {
            args.noAct();
        } else {
            to.begin(rows);
            args.act(to, rows);
        }
        norm(delta == null ? null : post, res.cols());
        norm(norm, res.cols());
        args.number(keepNormed ? 1 : 0);
        rows(kernels.norm, args, rows);
    }

    private void norm(@Nullable Norm norm, int cols) {
        if (norm == null) {
            args.none(4);
            return;
        }
        args.values((NativeValues) norm.gain(), cols);
        if (norm.bias() == null) args.none();
        else
            args.values((NativeValues) norm.bias(), cols);
        args.number(norm.kind() == Norm.Kind.LAYER ? 1 : 0).real(norm.eps());
    }

    @Override
    public void ropeAppend(Act q, Act k, Act v, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer) {
        CpuKvPool pool = (CpuKvPool) kv;
        int rows = batch.rows();
        args.begin().act((NativeAct) q, rows).act((NativeAct) k, rows).act((NativeAct) v, rows);
        if (norm == null) args.none(2);
        else
            args.values((NativeValues) norm.q(), rope.headSize()).values((NativeValues) norm.k(), rope.headSize());
        args.real(norm == null ? 0 : norm.eps()).values((NativeValues) rope.table(), rope.table().size());
        args.number(rope.dims()).number(rope.headSize()).number(rope.interleaved() ? 1 : 0).ints(batch.positions(), rows)
                .ints(batch.blocks(), rows);
        cache(pool, layer);
        rows(kernels.rope, args, rows);
    }

    private void cache(CpuKvPool pool, int layer) {
        MemorySegment bytes = pool.layer(layer);
        args.memory(bytes, bytes.byteSize(), 64).number(NativeCodes.of(pool.spec().type())).number(pool.spec().kvHeads()[layer]);
    }

    @Override
    public void activate(Activation f, Act gate, @Nullable Act up, Act out) {
        NativeAct to = (NativeAct) out;
        int rows = batch.rows();
        to.begin(rows);
        args.begin().act((NativeAct) gate, rows);
        if (up == null) args.noAct();
        else
            args.act((NativeAct) up, rows);
        args.act(to, rows).number(NativeCodes.of(f));
        rows(kernels.activate, args, rows);
    }

    @Override
    public void attend(Act q, KvPool kv, int layer, Attention a, Act out) {
        CpuKvPool pool = (CpuKvPool) kv;
        NativeAct to = (NativeAct) out;
        int rows = batch.rows();
        to.begin(rows);
        int parts = tiles.cut(batch.batch(), a, pool.spec().kvHeads()[layer], team.threads());
        scratch.queries(tiles.queries(), a.headSize());
        args.begin().act((NativeAct) q, rows).act(to, rows);
        cache(pool, layer);
        args.number(a.headSize());
        tiles.pass(args, a);
        args.ints(batch.positions(), rows).ints(batch.sequences(), rows).ints(batch.table(), batch.tableSize()).number(batch.tableStride())
                .real(a.scale()).real(a.softCap()).number(a.window());
        run(kernels.attend, args, parts, 1);
        if (to.waits() || (to.codesCurrent() && a.headSize() % 32 != 0)) quantize(to, rows);
    }

    /** Packs the floats of rows. */
    private void quantize(NativeAct a, int rows) {
        args.begin().act(a, rows);
        rows(kernels.quantize, args, rows);
    }

    // ---- products

    private void product(Args a, NativeAct x, Linear w, NativeAct y, MemorySegment index, int rows, float cap) {
        a.begin().weight((NativeWeight) w.weight(), (NativeValues) w.bias()).act(x, batch.batch().limits().rows()).act(y, rows)
                .ints(index, rows)
                .number(rows).real(cap);
    }

    @Override
    public void linear(Act x, Linear w, Act y) {
        NativeAct to = (NativeAct) y;
        int rows = batch.rows();
        to.begin(rows);
        product(args, (NativeAct) x, w, to, batch.each(), rows, 0);
        int n = NativeWeight.tiles(w.weight().rows());
        run(kernels.product, args, n, step(n, rows));
    }

    // ---- products of chosen rows

    @Override
    public void select(Act scores, float threshold, RowSet out) {
        NativeAct from = (NativeAct) scores;
        ((ChosenRows) out).select(from.floats(), from.padded(), batch.batch(), threshold);
    }

    private void chosen(ChosenRows set, int rows) {
        args.ints(set.rows(), set.count()).number(set.count()).number(rows);
    }

    @Override
    public void rows(Act x, Linear w, RowSet active, Act compact) {
        ChosenRows set = (ChosenRows) active;
        NativeRows weight = (NativeRows) w.weight();
        NativeAct to = (NativeAct) compact;
        int rows = batch.rows();
        int n = set.count();
        to.begin(rows);
        for (int r = 0; r < rows; r++) {
            long row = (long) r * to.padded();
            to.floats().asSlice((row + n) * Float.BYTES, (long) (to.padded() - n) * Float.BYTES).fill((byte) 0);
        }
        args.begin().rows(weight, (NativeValues) w.bias(), weight.rows()).act((NativeAct) x, rows).act(to, rows);
        chosen(set, rows);
        run(kernels.rows, args, n, Math.max(1, n / (team.threads() * PARTS)));
    }

    @Override
    public void columns(Act compact, Linear wT, RowSet active, Act y) {
        ChosenRows set = (ChosenRows) active;
        NativeRows weight = (NativeRows) wT.weight();
        NativeAct to = (NativeAct) y;
        int rows = batch.rows();
        to.begin(rows);
        args.begin().rows(weight, (NativeValues) wT.bias(), weight.cols()).act((NativeAct) compact, rows).act(to, rows);
        chosen(set, rows);
        int blocks = to.padded() / 32;
        run(kernels.columns, args, blocks, Math.max(Math.min(RUN, blocks), blocks / (team.threads() * 2)));
    }

    @Override
    public void logits(Act x, Linear w, float softCap, Logits out) {
        NativeWorkspace.Scores l = (NativeWorkspace.Scores) out;
        l.rows = batch.batch().logitRows();
        if (l.rows == 0) return;
        product(args, (NativeAct) x, w, l.v, batch.logitRows(), l.rows, softCap);
        int n = NativeWeight.tiles(w.weight().rows());
        run(kernels.product, args, n, step(n, l.rows));
    }

    @Override
    public void qkv(Act x, Qkv w, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer, Act q, Act k, Act v) {
        int rows = batch.rows();
        Linear[] weights = {w.q(), w.k(), w.v()};
        Act[] outs = {q, k, v};
        Args[] each = {args, second, third};
        int[] n = new int[3];
        for (int i = 0; i < 3; i++) {
            ((NativeAct) outs[i]).begin(rows);
            product(each[i], (NativeAct) x, weights[i], (NativeAct) outs[i], batch.each(), rows, 0);
            n[i] = NativeWeight.tiles(weights[i].weight().rows());
        }
        int step = step(n[0] + n[1] + n[2], rows);
        int qParts = (n[0] + step - 1) / step;
        int kParts = (n[1] + step - 1) / step;
        int vParts = (n[2] + step - 1) / step;
        team.run(qParts + kParts + vParts, (part, worker) -> {
            int which = part < qParts ? 0 : part < qParts + kParts ? 1 : 2;
            int from = (part - (which == 0 ? 0 : which == 1 ? qParts : qParts + kParts)) * step;
            kernels.product.run(each[which], from, Math.min(n[which], from + step), scratch.of(worker));
        });
        ropeAppend(q, k, v, norm, rope, kv, layer);
    }

    @Override
    public void ffn(Act x, Ffn w, Act gate, Act up, Act hidden, Act delta) {
        int rows = batch.rows();
        NativeAct to = (NativeAct) hidden;
        to.begin(rows);
        Linear main = w instanceof Ffn.Gated g ? g.up() : ((Ffn.Plain) w).up();
        args.begin();
        if (w instanceof Ffn.Gated g) args.weight((NativeWeight) g.gate().weight(), (NativeValues) g.gate().bias());
        else
            args.noWeight();
        args.weight((NativeWeight) main.weight(), (NativeValues) main.bias()).act((NativeAct) x, rows).act(to, rows)
                .ints(batch.each(), rows)
                .number(rows).number(NativeCodes.of(w.activation()));
        int pairs = NativeAct.padded(to.cols()) / 32;
        run(kernels.gated, args, pairs, rows <= FEW ? Math.max(1, pairs / (team.threads() * PARTS)) : 1);
        if (to.waits()) quantize(to, rows);
        linear(hidden, w.down(), delta);
    }

    // ---- the best tokens

    @Override
    public void topK(Logits l, int k, TopK out) {
        NativeWorkspace.Scores scores = (NativeWorkspace.Scores) l;
        NativeWorkspace.Best best = (NativeWorkspace.Best) out;
        best.rows = batch.batch().logitRows();
        long bytes = Math.multiplyExact((long) best.rows * Float.BYTES, scores.v.padded());
        args.begin().memory(scores.v.floats(), bytes, 4).number(scores.v.padded()).number(scores.v.cols()).number(k)
                .ints(best.ids, Math.multiplyExact((long) best.rows, k));
        rows(kernels.best, args, best.rows);
    }

    // ---- outside run()

    @Override
    public void write(RowSet set, int[] rows) {
        ((ChosenRows) set).write(rows);
    }

    @Override
    public int[] read(RowSet set) {
        return ((ChosenRows) set).read();
    }

    @Override
    public void write(Act a, float[] v) {
        NativeAct to = (NativeAct) a;
        int rows = v.length / to.cols();
        to.begin(rows);
        for (int r = 0; r < rows; r++) {
            MemorySegment.copy(v, r * to.cols(), to.floats(), ValueLayout.JAVA_FLOAT, (long) r * to.padded() * Float.BYTES, to.cols());
        }
        if (!to.codesCurrent()) return;
        args.begin().act(to, rows);
        kernels.quantize.run(args, 0, rows, scratch.of(0));
    }

    @Override
    public float[] read(Act a, int rows) {
        NativeAct from = (NativeAct) a;
        if (from.codesCurrent()) {
            args.begin().act(from, rows);
            kernels.unpack.run(args, 0, rows, scratch.of(0));
        }
        return floats(from, rows);
    }

    private static float[] floats(NativeAct from, int rows) {
        float[] out = new float[Math.multiplyExact(rows, from.cols())];
        for (int r = 0; r < rows; r++) {
            MemorySegment.copy(from.floats(), ValueLayout.JAVA_FLOAT, (long) r * from.padded() * Float.BYTES, out, r * from.cols(),
                    from.cols());
        }
        return out;
    }

    @Override
    public float[] read(Logits l) {
        NativeWorkspace.Scores from = (NativeWorkspace.Scores) l;
        return floats(from.v, from.rows);
    }

    @Override
    public int[] read(TopK t) {
        NativeWorkspace.Best from = (NativeWorkspace.Best) t;
        return Arrays.copyOf(from.ids.toArray(ValueLayout.JAVA_INT), from.rows * from.k);
    }

    @Override
    public void close() {
        scratch.close();
        batch.close();
        tiles.close();
        arena.close();
    }
}
