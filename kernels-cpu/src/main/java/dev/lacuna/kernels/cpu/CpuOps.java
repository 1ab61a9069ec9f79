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
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The operations, cut into parts for the team; the arithmetic of a part is the tier's {@link Kernels}. */
final class CpuOps implements Ops {
    /** Rows of a part of row-wise work, in steps of more rows than the caller does alone. */
    private static final int ROWS = 8;
    private static final int ALONE = 2;
    /** Chosen rows that are unpacked together, step rows that meet them, and columns of a part: a multiple of every group. */
    private static final int CHOSEN = 4;
    private static final int SOME = 8;
    private static final int COLUMNS = 256;
    private static final List<Format> GATHERED = Format.ALL.stream()
            .filter(f -> (f.rowHeader() == 0 && !f.variable()) || f.equals(Format.I8_ROW))
            .toList();
    private static final float[] NO_GAIN = new float[0];

    private final Kernels kernels;
    private final Team team;
    private final Products products;
    private final Attend attend;
    private final Scratch[] scratch;
    private final Panel panel = new Panel();
    private final Arena arena = Arena.ofShared();
    private final Set<Decision> decisions = new LinkedHashSet<>();
    private @Nullable Batch batch;

    CpuOps(Kernels kernels, Team team) {
        this.kernels = kernels;
        this.team = team;
        products = new Products(kernels, team.threads());
        attend = new Attend(kernels);
        scratch = new Scratch[team.threads()];
        Arrays.setAll(scratch, i -> new Scratch());
    }

    // ---- load time

    @Override
    public List<Weight> place(List<Tensor> tensors, InputPolicy policy, Set<Use> uses) {
        List<Weight> placed = new ArrayList<>();
        for (Tensor t : tensors) {
            if (!Format.ALL.contains(t.format())) {
                throw new UnsupportedKernelException(t.name() + " is " + t.format() + ": the CPU kernels know " + Format.ALL);
            }
            decide(t.format(), policy, uses);
            boolean outside = t.data().isNative();
            MemorySegment data = t.data();
            if (!outside) {
                data = arena.allocate(t.data().byteSize(), 64);
                data.copyFrom(t.data());
            }
            for (Scratch s : scratch) s.reserve(t.cols());
            placed.add(new CpuWeight(t.rows(), t.cols(), t.format(), policy, data, outside ? 0 : data.byteSize()));
        }
        return placed;
    }

    private void decide(Format format, InputPolicy policy, Set<Use> uses) {
        if (uses.contains(Use.EMBED))
            decisions.add(new Decision("embed", format.name(), kernels.name() + ", unpack", "rows are looked up"));
        for (Use use : List.of(Use.ROWS, Use.COLUMNS)) {
            if (uses.contains(use)) {
                decisions.add(new Decision(use.name().toLowerCase(Locale.ROOT), format + " x " + policy,
                        kernels.name() + ", unpacked for all rows",
                        "fastest here"));
            }
        }
        if (!uses.contains(Use.PRODUCT)) return;
        String unpacked = kernels.name() + ", unpacked for all rows";
        for (Input input : List.of(policy.fewRows(), policy.manyRows())) {
            String on = format + " x " + input;
            boolean few = input.equals(policy.fewRows());
            if (few && kernels.hasDirect(format)) {
                decisions.add(new Decision("product, up to " + Products.DIRECT + " rows", on, kernels.name() + ", unpacked in registers",
                        "fastest here"));
                decisions.add(new Decision("product, more rows", on, unpacked, "fastest here"));
            } else {
                decisions.add(
                        new Decision("product", on, unpacked, few ? "no loop that unpacks " + format + " in registers" : "fastest here"));
            }
        }
    }

    @Override
    public Values values(float[] v) {
        return new CpuValues(Arrays.copyOf(v, Kernels.padded(v.length)), v.length);
    }

    @Override
    public KvPool kv(KvSpec spec, int blocks) {
        return new CpuKvPool(spec, blocks, kernels);
    }

    @Override
    public Workspace workspace(Limits max) {
        return new CpuWorkspace(max, this);
    }

    /** Makes room for activations of that many columns. */
    void reserve(int rows, int cols) {
        for (Scratch s : scratch) s.reserve(cols);
        panel.reserve(rows, Kernels.padded(cols));
    }

    @Override
    public List<Decision> decisions() {
        return List.copyOf(decisions);
    }

    // ---- one step

    @Override
    public void run(Step key, Batch b, Runnable body) {
        batch = b;
        try {
            body.run();
        } finally {
            batch = null;
        }
    }

    private Batch batch() {
        Batch b = batch;
        if (b == null) throw new IllegalStateException("outside run()");
        return b;
    }

    private interface RowBody {
        void row(int r, Scratch s);
    }

    /** Does row-wise work: alone if there are few rows, for waking the team would take longer. */
    private void rows(int n, RowBody body) {
        if (n <= ALONE) {
            for (int r = 0; r < n; r++) body.row(r, scratch[0]);
        } else {
            int step = n <= ROWS * team.threads() ? 1 : ROWS;
            team.run(Products.parts(n, step), (part, worker) -> {
                for (int r = part * step; r < Math.min(n, (part + 1) * step); r++) body.row(r, scratch[worker]);
            });
        }
    }

    private static void load(CpuAct from, int row, float[] to) {
        MemorySegment.copy(from.floats(), ValueLayout.JAVA_FLOAT, (long) row * from.stride() * Float.BYTES, to, 0, from.cols());
    }

    private static void store(float[] from, int at, int n, CpuAct to, int row, int col) {
        MemorySegment.copy(from, at, to.floats(), ValueLayout.JAVA_FLOAT, ((long) row * to.stride() + col) * Float.BYTES, n);
    }

    /** Packs {@code n} values that are columns {@code col} and following of a row, whole blocks of values that share a scale. */
    private void pack(float[] x, int at, int n, CpuAct to, int row, int col) {
        if (to.packed() instanceof Input.I8 i8) {
            int padded = Kernels.padded(n);
            Arrays.fill(x, at + n, at + padded, 0);
            kernels.quantize(x, at, padded, i8.block() == 0 ? padded : i8.block());
        } else if (to.packed() instanceof Input.Bf16) {
            Kernels.brains(x, at, n);
        }
        store(x, at, n, to, row, col);
    }

    // ---- row-wise operations

    @Override
    public void embed(Embedding e, Act x) {
        CpuWeight w = (CpuWeight) e.table();
        CpuWeight learned = (CpuWeight) e.positions();
        CpuAct to = (CpuAct) x;
        Batch b = batch();
        to.begin(b.rows());
        rows(b.rows(), (r, s) -> {
            kernels.unpack(w.format(), w.data(), w.at(b.id(r)), w.cols(), s.row, 0);
            if (e.scale() != 1) kernels.scale(s.row, 0, w.cols(), e.scale());
            if (learned != null) {
                long at = learned.at(e.offset() + b.pos(r));
                kernels.unpack(learned.format(), learned.data(), at, w.cols(), s.second, 0);
                for (int i = 0; i < w.cols(); i++) s.row[i] += s.second[i];
            }
            pack(s.row, 0, w.cols(), to, r, 0);
        });
    }

    @Override
    public void addNorm(Act residual, @Nullable Act delta, @Nullable Norm post, @Nullable Norm norm, boolean keepNormed,
            @Nullable Act out) {
        CpuAct res = (CpuAct) residual;
        CpuAct add = (CpuAct) delta;
        CpuAct to = (CpuAct) out;
        int n = res.cols();
        int rows = batch().rows();
        if (to != null) to.begin(rows);
        rows(rows, (r, s) -> {
            double[] x = s.wide;
            double[] y = s.normed;
            load(res, r, s.row);
            if (add == null) {
                for (int i = 0; i < n; i++) x[i] = s.row[i];
            } else {
                load(add, r, s.second);
                if (post == null) {
                    for (int i = 0; i < n; i++) x[i] = (double) s.row[i] + s.second[i];
                } else {
                    for (int i = 0; i < n; i++) y[i] = s.second[i];
                    normalize(y, n, post, x);
                    for (int i = 0; i < n; i++) x[i] += s.row[i];
                }
            }
            if (norm != null) normalize(x, n, norm, y);
            double[] kept = keepNormed ? y : x;
            for (int i = 0; i < n; i++) s.row[i] = (float) kept[i];
            store(s.row, 0, n, res, r, 0);
            if (to == null) return;
            for (int i = 0; i < n; i++) s.row[i] = (float) y[i];
            pack(s.row, 0, n, to, r, 0);
        });
    }

    private void normalize(double[] x, int n, Norm norm, double[] y) {
        float[] gain = ((CpuValues) norm.gain()).v();
        CpuValues bias = (CpuValues) norm.bias();
        double mean = norm.kind() == Norm.Kind.LAYER ? kernels.sum(x, n) / n : 0;
        double scale = 1 / Math.sqrt(kernels.squares(x, n, mean) / n + norm.eps());
        for (int i = 0; i < n; i++) y[i] = (x[i] - mean) * scale * gain[i];
        if (bias == null) return;
        float[] b = bias.v();
        for (int i = 0; i < n; i++) y[i] += b[i];
    }

    @Override
    public void ropeAppend(Act q, Act k, Act v, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer) {
        CpuAct qs = (CpuAct) q;
        CpuAct ks = (CpuAct) k;
        CpuAct vs = (CpuAct) v;
        CpuKvPool pool = (CpuKvPool) kv;
        Batch b = batch();
        float[] qGain = norm == null ? NO_GAIN : ((CpuValues) norm.q()).v();
        float[] kGain = norm == null ? NO_GAIN : ((CpuValues) norm.k()).v();
        double eps = norm == null ? 0 : norm.eps();
        int size = rope.headSize();
        rows(b.rows(), (r, s) -> {
            load(qs, r, s.row);
            Rotation.row(s.row, qs.cols(), b.pos(r), rope, qGain, eps);
            store(s.row, 0, qs.cols(), qs, r, 0);
            load(ks, r, s.row);
            Rotation.row(s.row, ks.cols(), b.pos(r), rope, kGain, eps);
            store(s.row, 0, ks.cols(), ks, r, 0);
            load(vs, r, s.second);
            int block = b.block(b.seq(r), b.pos(r));
            for (int h = 0; h * size < ks.cols(); h++) {
                pool.append(layer, block, b.pos(r) % KvSpec.BLOCK, h, s.row, h * size, s.second, h * size);
            }
        });
    }

    @Override
    public void activate(Activation f, Act gate, @Nullable Act up, Act out) {
        CpuAct g = (CpuAct) gate;
        CpuAct u = (CpuAct) up;
        CpuAct to = (CpuAct) out;
        int rows = batch().rows();
        to.begin(rows);
        rows(rows, (r, s) -> {
            load(g, r, s.row);
            if (u != null) load(u, r, s.second);
            kernels.activate(f, s.row, u == null ? null : s.second, 0, g.cols());
            pack(s.row, 0, g.cols(), to, r, 0);
        });
    }

    @Override
    public void attend(Act q, KvPool kv, int layer, Attention a, Act out) {
        CpuAct qs = (CpuAct) q;
        CpuAct to = (CpuAct) out;
        CpuKvPool pool = (CpuKvPool) kv;
        Batch b = batch();
        to.begin(b.rows());
        team.run(attend.parts(b, a, pool.spec().kvHeads()[layer], team.threads()),
                (part, worker) -> attend.part(part, scratch[worker].attention, b, qs, pool, layer, a, to));
        repack(to, b.rows());
    }

    /** Packs what parts of rows left as floats. */
    private void repack(CpuAct to, int n) {
        if (to.packed() instanceof Input.F32) return;
        rows(n, (r, s) -> {
            load(to, r, s.row);
            pack(s.row, 0, to.cols(), to, r, 0);
        });
    }

    // ---- products

    private interface RowOf {
        int row(int i);
    }

    private void gather(CpuAct x, int n, RowOf row) {
        panel.begin(x, n);
        rows(n, (i, s) -> panel.gather(x, row.row(i), i));
    }

    /** What happens to a block of results. */
    private interface Sink {
        void take(float[] out, int from, int to, int first, int last, int stride);
    }

    /** Product of the panel with a weight, on the team. */
    private void product(Linear w, Sink sink) {
        int outputs = w.weight().rows();
        int step = products.step(outputs, panel);
        team.run(Products.parts(outputs, step),
                (part, worker) -> part(w, part * step, Math.min(outputs, (part + 1) * step), scratch[worker], sink));
    }

    private void part(Linear w, int from, int to, Scratch s, Sink sink) {
        int stride = Kernels.padded(to - from);
        int rows = products.rows(panel);
        for (int first = 0; first < panel.rows; first += rows) {
            int last = Math.min(panel.rows, first + rows);
            products.block(s, 0, panel, w, from, to, first, last, s.out, stride);
            sink.take(s.out, from, to, first, last, stride);
        }
    }

    private static Sink into(CpuAct y) {
        return (out, from, to, first, last, stride) -> {
            for (int r = first; r < last; r++) store(out, (r - first) * stride, to - from, y, r, from);
        };
    }

    @Override
    public void linear(Act x, Linear w, Act y) {
        CpuAct to = (CpuAct) y;
        int rows = batch().rows();
        gather((CpuAct) x, rows, r -> r);
        to.begin(rows);
        product(w, into(to));
    }

    // ---- products of chosen rows

    /** Rows that lie one by one in blocks: any part of one can be unpacked. */
    @Override
    public List<Format> gathers() {
        return GATHERED;
    }

    @Override
    public void select(Act scores, float threshold, RowSet out) {
        CpuAct from = (CpuAct) scores;
        ((ChosenRows) out).select(from.floats(), from.stride(), batch(), threshold);
    }

    @Override
    public void rows(Act x, Linear w, RowSet active, Act compact) {
        ChosenRows set = (ChosenRows) active;
        CpuWeight weight = (CpuWeight) w.weight();
        CpuAct to = (CpuAct) compact;
        CpuValues bias = (CpuValues) w.bias();
        int rows = batch().rows();
        gather((CpuAct) x, rows, r -> r);
        to.begin(rows);
        to.floats().asSlice(0, (long) rows * to.stride() * Float.BYTES).fill((byte) 0);
        int stride = Kernels.padded(weight.cols());
        team.run(Products.parts(set.count(), CHOSEN), (part, worker) -> {
            Scratch s = scratch[worker];
            float[] v = s.unpacked(CHOSEN * stride);
            int from = part * CHOSEN;
            int n = Math.min(CHOSEN, set.count() - from);
            for (int i = 0; i < n; i++) {
                kernels.unpack(weight.format(), weight.data(), weight.at(set.row(from + i)), weight.cols(), v, i * stride);
            }
            for (int first = 0; first < rows; first += SOME) {
                int some = Math.min(SOME, rows - first);
                kernels.dots(v, n, panel.floats, first * panel.stride, some, panel.stride, s.out, 0, CHOSEN, s.lanes);
                for (int r = 0; r < some; r++) {
                    for (int i = 0; bias != null && i < n; i++) s.out[r * CHOSEN + i] += bias.v()[set.row(from + i)];
                    store(s.out, r * CHOSEN, n, to, first + r, from);
                }
            }
        });
    }

    @Override
    public void columns(Act compact, Linear wT, RowSet active, Act y) {
        ChosenRows set = (ChosenRows) active;
        CpuWeight weight = (CpuWeight) wT.weight();
        CpuAct to = (CpuAct) y;
        CpuValues bias = (CpuValues) wT.bias();
        int rows = batch().rows();
        gather((CpuAct) compact, rows, r -> r);
        to.begin(rows);
        team.run(Products.parts(weight.cols(), COLUMNS), (part, worker) -> {
            Scratch s = scratch[worker];
            int from = part * COLUMNS;
            int n = Math.min(COLUMNS, weight.cols() - from);
            int stride = Kernels.padded(n);
            float[] v = s.unpacked(CHOSEN * stride);
            for (int first = 0; first < rows; first += SOME) {
                int some = Math.min(SOME, rows - first);
                Arrays.fill(s.out, 0, SOME * stride, 0);
                for (int r = 0; bias != null && r < some; r++) System.arraycopy(bias.v(), from, s.out, r * stride, n);
                for (int j = 0; j < set.count(); j += CHOSEN) {
                    int last = Math.min(CHOSEN, set.count() - j);
                    for (int i = 0; i < last; i++) weight.part(kernels, set.row(j + i), from, n, v, i * stride);
                    // the loops take four rows or one
                    for (int r = 0; r < some; r += some - r >= 4 ? 4 : 1) {
                        kernels.mix(panel.floats, (first + r) * panel.stride + j, panel.stride, some - r >= 4 ? 4 : 1, 0, last, v, stride,
                                s.out,
                                r * stride, stride);
                    }
                }
                for (int r = 0; r < some; r++) store(s.out, r * stride, n, to, first + r, from);
            }
        });
    }

    @Override
    public void logits(Act x, Linear w, float softCap, Logits out) {
        CpuWorkspace.Scores l = (CpuWorkspace.Scores) out;
        Batch b = batch();
        l.rows = b.logitRows();
        if (l.rows == 0) return;
        gather((CpuAct) x, b.logitRows(), b::logitRow);
        product(w, (v, from, to, first, last, stride) -> {
            for (int r = first; r < last; r++) {
                int at = (r - first) * stride;
                if (softCap != 0) kernels.cap(v, at, to - from, softCap);
                MemorySegment.copy(v, at, l.v, ValueLayout.JAVA_FLOAT, l.at(r) + (long) from * Float.BYTES, to - from);
            }
        });
    }

    @Override
    public void qkv(Act x, Qkv w, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer, Act q, Act k, Act v) {
        int rows = batch().rows();
        gather((CpuAct) x, rows, r -> r);
        Linear[] weights = {w.q(), w.k(), w.v()};
        CpuAct[] outs = {(CpuAct) q, (CpuAct) k, (CpuAct) v};
        int all = 0;
        for (Linear l : weights) all += l.weight().rows();
        int step = products.step(all, panel);
        int qParts = Products.parts(w.q().weight().rows(), step);
        int kParts = Products.parts(w.k().weight().rows(), step);
        int vParts = Products.parts(w.v().weight().rows(), step);
        for (CpuAct out : outs) out.begin(rows);
        team.run(qParts + kParts + vParts, (part, worker) -> {
            int which = part < qParts ? 0 : part < qParts + kParts ? 1 : 2;
            int from = (part - (which == 0 ? 0 : which == 1 ? qParts : qParts + kParts)) * step;
            int to = Math.min(weights[which].weight().rows(), from + step);
            part(weights[which], from, to, scratch[worker], into(outs[which]));
        });
        ropeAppend(q, k, v, norm, rope, kv, layer);
    }

    @Override
    public void ffn(Act x, Ffn w, Act gate, Act up, Act hidden, Act delta) {
        int rows = batch().rows();
        gather((CpuAct) x, rows, r -> r);
        CpuAct to = (CpuAct) hidden;
        to.begin(rows);
        Linear gated = w instanceof Ffn.Gated g ? g.gate() : null;
        Linear plain = w instanceof Ffn.Gated g ? g.up() : ((Ffn.Plain) w).up();
        int width = to.cols();
        int step = products.step(width, panel);
        team.run(Products.parts(width, step), (part, worker) -> {
            int from = part * step;
            hidden(gated, plain, w.activation(), from, Math.min(width, from + step), scratch[worker], to);
        });
        if (to.waits()) repack(to, rows);
        linear(hidden, w.down(), delta);
    }

    /** Columns {@code from} to {@code to} of a feed-forward block's hidden values, activated and packed where they were computed. */
    private void hidden(@Nullable Linear gate, Linear up, Activation f, int from, int to, Scratch s, CpuAct hidden) {
        int stride = Kernels.padded(to - from);
        int rows = products.rows(panel);
        for (int first = 0; first < panel.rows; first += rows) {
            int last = Math.min(panel.rows, first + rows);
            products.block(s, 0, panel, up, from, to, first, last, s.out, stride);
            if (gate != null) products.block(s, 1, panel, gate, from, to, first, last, s.gate, stride);
            float[] y = gate == null ? s.out : s.gate;
            for (int r = first; r < last; r++) {
                int at = (r - first) * stride;
                kernels.activate(f, y, gate == null ? null : s.out, at, to - from);
                if (hidden.waits()) store(y, at, to - from, hidden, r, from);
                else
                    pack(y, at, to - from, hidden, r, from);
            }
        }
    }

    // ---- the best tokens

    @Override
    public void topK(Logits l, int k, TopK out) {
        CpuWorkspace.Scores scores = (CpuWorkspace.Scores) l;
        CpuWorkspace.Best best = (CpuWorkspace.Best) out;
        int n = scores.vocabulary;
        best.rows = batch().logitRows();
        scratch[0].reserve(n);
        for (int i = 0; i < best.rows; i++) {
            MemorySegment.copy(scores.v, ValueLayout.JAVA_FLOAT, scores.at(i), scratch[0].row, 0, n);
            Best.of(kernels, scratch[0].row, n, best.id, i * k, k);
        }
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
        CpuAct to = (CpuAct) a;
        int rows = v.length / to.cols();
        to.begin(rows);
        for (int r = 0; r < rows; r++) {
            System.arraycopy(v, r * to.cols(), scratch[0].row, 0, to.cols());
            pack(scratch[0].row, 0, to.cols(), to, r, 0);
        }
    }

    @Override
    public float[] read(Act a, int rows) {
        CpuAct from = (CpuAct) a;
        float[] out = new float[rows * from.cols()];
        for (int r = 0; r < rows; r++) {
            load(from, r, scratch[0].row);
            System.arraycopy(scratch[0].row, 0, out, r * from.cols(), from.cols());
        }
        return out;
    }

    @Override
    public float[] read(Logits l) {
        CpuWorkspace.Scores from = (CpuWorkspace.Scores) l;
        float[] out = new float[from.rows * from.vocabulary];
        MemorySegment.copy(from.v, ValueLayout.JAVA_FLOAT, 0, out, 0, out.length);
        return out;
    }

    @Override
    public int[] read(TopK t) {
        CpuWorkspace.Best from = (CpuWorkspace.Best) t;
        return Arrays.copyOf(from.id, from.rows * from.k);
    }

    @Override
    public void close() {
        arena.close();
    }
}
