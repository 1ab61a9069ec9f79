package dev.lacuna.ops;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.util.Collections;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * The only way to get an {@link Ops}: checks shapes, packings, liveness and the rules of {@link #run} before anything reaches a kernel. The checks
 * cost a few comparisons for each call, none for each value.
 */
public final class CheckedOps implements Ops {
    private static final AtomicInteger OPEN = new AtomicInteger();

    private final Ops ops;
    private final IdentityHashMap<Object, Room> operands = new IdentityHashMap<>();
    private final Set<Object> placed = Collections.newSetFromMap(new IdentityHashMap<>());
    private final IdentityHashMap<Object, Set<Use>> uses = new IdentityHashMap<>();
    private final Set<Object> rooms = Collections.newSetFromMap(new IdentityHashMap<>());
    private final IdentityHashMap<Object, Object> pools = new IdentityHashMap<>();
    private final Map<Step, Bounds> bounds = new HashMap<>();
    private final AtomicBoolean busy = new AtomicBoolean();
    private @Nullable Batch batch;
    private @Nullable Bounds current;
    private volatile boolean closed;
    private final AtomicLong placedBytes = new AtomicLong();

    CheckedOps(Ops ops) {
        this.ops = ops;
        OPEN.incrementAndGet();
    }

    /** How many kernels, workspaces and caches of this process are not closed yet: what leak checks count. */
    public static int open() {
        return OPEN.get();
    }

    /** What the recorded body of a step assumes of every batch that is replayed with it. */
    private static final class Bounds {
        int ids = Integer.MAX_VALUE;
        int positions = Integer.MAX_VALUE;
        int blocks = Integer.MAX_VALUE;

        void check(Batch b) {
            for (int r = 0; r < b.rows(); r++) {
                require(b.id(r) >= 0, "row %d has token %d", r, b.id(r));
                require(b.pos(r) >= 0, "row %d is at position %d", r, b.pos(r));
                require(b.id(r) < ids, "row %d has token %d, the table has %d rows", r, b.id(r), ids);
                require(b.pos(r) < positions, "row %d is at position %d, the table of positions ends at %d", r, b.pos(r), positions);
                require(b.seq(r) < 0 || b.pos(r) / KvSpec.BLOCK < b.kvBlocks(), "row %d is at position %d, its block table has %d blocks",
                        r,
                        b.pos(r), b.kvBlocks());
                require(b.seq(r) < 0 || b.block(b.seq(r), b.pos(r)) > 0, "row %d of a sequence writes to the scrap block", r);
            }
            for (int s = 0; s < b.seqs(); s++) {
                for (int i = 0; i < b.kvBlocks(); i++) {
                    int block = b.block(s, i * KvSpec.BLOCK);
                    require(block >= 0, "sequence %d has block %d", s, block);
                    require(block < blocks, "sequence %d has block %d, the cache has %d", s, block, blocks);
                }
            }
        }
    }

    @SuppressWarnings("AnnotateFormatMethod") // would need a library
    private static void require(boolean condition, String message, Object... args) {
        if (!condition) throw new IllegalArgumentException(message.formatted(args));
    }

    private void requireOpen() {
        if (closed) throw new IllegalStateException("these kernels are closed");
    }

    private void requireOutside(String what) {
        requireOpen();
        if (batch != null) throw new IllegalStateException(what + " inside run(): a device that replays the step would not see it");
    }

    private Batch requireInside(String op) {
        Batch b = batch;
        if (b == null) throw new IllegalStateException(op + " outside run()");
        return b;
    }

    // ---- load time

    @Override
    public List<Weight> place(List<Tensor> tensors, InputPolicy policy, Set<Use> uses) {
        requireOutside("place");
        require(!tensors.isEmpty(), "no tensors to place");
        require(!uses.isEmpty(), "%s is placed for no use", tensors.getFirst().name());
        int cols = tensors.getFirst().cols();
        for (Tensor t : tensors) {
            require(t.cols() == cols, "%s has %d columns, %s beside it %d: they cannot share an input", t.name(), t.cols(),
                    tensors.getFirst().name(),
                    cols);
            boolean floats = t.format().kind() == Format.Kind.FLOAT;
            if (floats && !policy.takesFloats()) {
                throw new UnsupportedKernelException(
                        t.name() + " is " + t.format() + ": float formats take F32 or BF16 activations, not " + policy);
            }
        }
        if (uses.contains(Use.ROWS) || uses.contains(Use.COLUMNS)) gathered(tensors, policy, uses);
        tensors.forEach(Tensor::check);
        List<Weight> weights = ops.place(tensors, policy, uses);
        placed.addAll(weights);
        for (Weight w : weights) {
            this.uses.put(w, Set.copyOf(uses));
            placedBytes.addAndGet(w.bytes());
        }
        return weights;
    }

    private void gathered(List<Tensor> tensors, InputPolicy policy, Set<Use> uses) {
        require(uses.size() == 1, "%s is placed for %s: rows that are gathered lie one by one, which serves no other use",
                tensors.getFirst().name(), uses);
        if (uses.contains(Use.COLUMNS) && !policy.equals(InputPolicy.F32)) {
            throw new UnsupportedKernelException(tensors.getFirst().name() + ": columns are weighted by F32 activations, not " + policy);
        }
        for (Input input : List.of(policy.fewRows(), policy.manyRows())) {
            if (input.equals(Input.F32) || input.equals(Input.I8)) continue;
            throw new UnsupportedKernelException(
                    tensors.getFirst().name() + ": chosen rows take F32 or " + Input.I8 + " activations, not " + input);
        }
        List<Format> known = ops.gathers();
        for (Tensor t : tensors) {
            if (known.contains(t.format())) continue;
            if (known.isEmpty()) {
                throw new UnsupportedKernelException("these kernels run no chosen rows of " + t.name() + ": try other --kernels");
            }
            throw new UnsupportedKernelException(
                    t.name() + " is " + t.format() + ", of which no chosen rows can run: they are gathered from "
                            + known + "; --weights " + Format.Q8_0 + " re-encodes it at load");
        }
    }

    @Override
    public List<Format> gathers() {
        return ops.gathers();
    }

    /** Bytes that all placed weights occupy beside the tensors they were made of. */
    public long placedBytes() {
        return placedBytes.get();
    }

    @Override
    public Values values(float[] v) {
        requireOutside("values");
        Values values = ops.values(v);
        placed.add(values);
        return values;
    }

    @Override
    public KvPool kv(KvSpec spec, int blocks) {
        requireOutside("kv");
        require(blocks >= 2, "a cache needs the scrap block and at least one more, not %d", blocks);
        require(spec.headSize() > 0, "a cache of heads of %d values", spec.headSize());
        for (int h : spec.kvHeads()) require(h >= 0, "a cache layer of %d heads", h);
        KvPool pool = ops.kv(spec, blocks);
        pools.put(pool, pool);
        return new Pool(pool);
    }

    /** A cache whose use after close is an exception. */
    private final class Pool implements KvPool {
        private final KvPool pool;

        Pool(KvPool pool) {
            this.pool = pool;
            OPEN.incrementAndGet();
        }

        CheckedOps owner() {
            return CheckedOps.this;
        }

        private KvPool open() {
            if (!pools.containsKey(pool)) throw new IllegalStateException("this cache is closed");
            return pool;
        }

        private KvPool block(int block) {
            require(block >= 0 && block < pool.blocks(), "block %d of a cache of %d", block, pool.blocks());
            return open();
        }

        private void layer(int layer) {
            require(layer >= 0 && layer < pool.spec().kvHeads().length, "layer %d of a cache of %d layers", layer,
                    pool.spec().kvHeads().length);
        }

        @Override
        public KvSpec spec() {
            return pool.spec();
        }

        @Override
        public int blocks() {
            return pool.blocks();
        }

        @Override
        public long bytes() {
            return pool.bytes();
        }

        @Override
        public void copyBlock(int from, int to) {
            requireOutside("copyBlock");
            block(to);
            block(from).copyBlock(from, to);
        }

        @Override
        public float[] readKeys(int layer, int block) {
            requireOutside("readKeys");
            layer(layer);
            return block(block).readKeys(layer, block);
        }

        @Override
        public float[] readValues(int layer, int block) {
            requireOutside("readValues");
            layer(layer);
            return block(block).readValues(layer, block);
        }

        @Override
        public void close() {
            if (!pools.containsKey(pool)) return;
            requireOutside("close");
            pools.remove(pool);
            OPEN.decrementAndGet();
            bounds.clear();
            pool.close();
        }
    }

    @Override
    public Workspace workspace(Limits max) {
        requireOutside("workspace");
        Room room = new Room(ops.workspace(max));
        rooms.add(room);
        return room;
    }

    /** A workspace that remembers what it handed out. */
    private final class Room implements Workspace {
        private final Workspace room;
        private boolean shut;

        Room(Workspace room) {
            this.room = room;
            OPEN.incrementAndGet();
        }

        private <T> T known(T operand) {
            operands.put(operand, this);
            return operand;
        }

        private void requireUsable(String what) {
            requireOutside(what);
            if (shut) throw new IllegalStateException("this workspace is closed");
        }

        @Override
        public Limits limits() {
            return room.limits();
        }

        @Override
        public Act act(int cols, InputPolicy policy) {
            requireUsable("act");
            require(cols > 0, "an activation of %d columns", cols);
            return known(room.act(cols, policy));
        }

        @Override
        public Logits logits(int vocabulary) {
            requireUsable("logits");
            require(vocabulary > 0, "a vocabulary of %d", vocabulary);
            return known(room.logits(vocabulary));
        }

        @Override
        public TopK topK(int k) {
            requireUsable("topK");
            require(k > 0, "the best %d tokens", k);
            return known(room.topK(k));
        }

        @Override
        public RowSet rowSet(int capacity) {
            requireUsable("rowSet");
            require(capacity > 0, "a set of %d rows", capacity);
            return known(room.rowSet(capacity));
        }

        @Override
        public long bytes() {
            return room.bytes();
        }

        @Override
        public void close() {
            if (shut) return;
            requireOutside("close");
            shut = true;
            OPEN.decrementAndGet();
            operands.values().removeIf(r -> r == this);
            rooms.remove(this);
            bounds.clear();
            room.close();
        }
    }

    @Override
    public OptionalLong available() {
        requireOutside("available");
        return ops.available();
    }

    @Override
    public List<Decision> decisions() {
        return ops.decisions();
    }

    @Override
    public InputPolicy inputs() {
        return ops.inputs();
    }

    @Override
    public boolean captures() {
        return ops.captures();
    }

    /** What is still open, for leak checks: workspaces, their operands, and caches. */
    public int openOperands() {
        return rooms.size() + operands.size() + pools.size();
    }

    // ---- one step

    @Override
    public void run(Step key, Batch b, Runnable body) {
        requireOpen();
        require(b.rows() > 0, "a step of no rows");
        require(key.equals(Step.of(key.program(), b)), "the step is %s, its batch %s", key, Step.of(key.program(), b));
        if (!busy.compareAndSet(false, true)) throw new IllegalStateException("two steps at once: one engine loop touches tensors");
        try {
            Bounds known = bounds.computeIfAbsent(key, k -> new Bounds());
            known.check(b);
            current = known;
            batch = b;
            ops.run(key, b, body);
        } finally {
            batch = null;
            current = null;
            busy.set(false);
        }
    }

    private void bound(int ids, int positions, int blocks) {
        Bounds c = current;
        Batch b = batch;
        if (c == null || b == null) return;
        boolean tighter = ids < c.ids || positions < c.positions || blocks < c.blocks;
        c.ids = Math.min(c.ids, ids);
        c.positions = Math.min(c.positions, positions);
        c.blocks = Math.min(c.blocks, blocks);
        if (tighter) c.check(b);
    }

    private void act(String op, String name, Act a, int cols) {
        Batch b = requireInside(op);
        Room room = operands.get(a);
        if (room == null) throw new IllegalStateException(op + ": " + name + " is not an activation of an open workspace here");
        Limits limits = room.limits();
        require(b.rows() <= limits.rows(), "%s: the step has %d rows, %s has room for %d", op, b.rows(), name, limits.rows());
        require(b.seqs() <= limits.seqs() && b.kvBlocks() <= limits.kvBlocks(),
                "%s: the step has %d sequences of up to %d cache blocks, the workspace of %s has room for %d of %d", op, b.seqs(),
                b.kvBlocks(), name,
                limits.seqs(), limits.kvBlocks());
        require(a.cols() == cols, "%s: %s has %d columns, needs %d", op, name, a.cols(), cols);
    }

    private void floats(String op, String name, Act a, int cols) {
        act(op, name, a, cols);
        require(a.policy().equals(InputPolicy.F32), "%s: %s must be F32, is %s", op, name, a.policy());
    }

    private void values(String op, String name, Values v, int size) {
        if (!placed.contains(v)) throw new IllegalStateException(op + ": " + name + " was not placed here");
        require(v.size() == size, "%s: %s has %d values, needs %d", op, name, v.size(), size);
    }

    @SuppressWarnings("ReferenceEquality") // operands are what they are, not what they hold
    private static void distinct(String what, Act a, Act b) {
        require(a != b, "%s are one activation", what);
    }

    private void norm(String op, Norm n, int dim) {
        values(op, "gain", n.gain(), dim);
        if (n.bias() != null) values(op, "bias", n.bias(), dim);
    }

    private void use(String op, Weight w, Use use) {
        Set<Use> known = uses.get(w);
        if (known == null) throw new IllegalStateException(op + ": the weight was not placed here");
        require(known.contains(use), "%s: the weight was placed for %s, not for %s", op, known, use);
    }

    private void weight(String op, Act x, Linear w) {
        weight(op, x, w, Use.PRODUCT);
    }

    private void weight(String op, Act x, Linear w, Use use) {
        use(op, w.weight(), use);
        act(op, "x", x, w.weight().cols());
        require(x.policy().equals(w.weight().policy()), "%s: x is packed as %s, the weight takes %s", op, x.policy(), w.weight().policy());
        if (w.bias() != null) values(op, "bias", w.bias(), w.weight().rows());
    }

    @Override
    public void embed(Embedding e, Act x) {
        use("embed", e.table(), Use.EMBED);
        act("embed", "x", x, e.table().cols());
        Weight learned = e.positions();
        int positions = Integer.MAX_VALUE;
        if (learned != null) {
            use("embed", learned, Use.EMBED);
            require(learned.cols() == x.cols(), "embed: positions have %d columns, tokens %d", learned.cols(), x.cols());
            require(e.offset() >= 0 && e.offset() < learned.rows(), "embed: position 0 is row %d of %d", e.offset(), learned.rows());
            positions = learned.rows() - e.offset();
        }
        bound(e.table().rows(), positions, Integer.MAX_VALUE);
        ops.embed(e, x);
    }

    @Override
    public void addNorm(Act residual, @Nullable Act delta, @Nullable Norm post, @Nullable Norm norm, boolean keepNormed,
            @Nullable Act out) {
        int dim = residual.cols();
        floats("addNorm", "residual", residual, dim);
        if (delta != null) floats("addNorm", "delta", delta, dim);
        if (post != null) norm("addNorm", post, dim);
        if (norm != null) norm("addNorm", norm, dim);
        require(post == null || delta != null, "addNorm: a post norm without a delta");
        require((norm == null) == (out == null), "addNorm: a norm and an output belong together");
        require(norm != null || !keepNormed, "addNorm: nothing normed to keep");
        if (out != null) act("addNorm", "out", out, dim);
        ops.addNorm(residual, delta, post, norm, keepNormed, out);
    }

    @Override
    public void linear(Act x, Linear w, Act y) {
        weight("linear", x, w);
        floats("linear", "y", y, w.weight().rows());
        distinct("linear: x and y", x, y);
        ops.linear(x, w, y);
    }

    private KvPool cache(String op, KvPool kv, int layer) {
        if (!(kv instanceof Pool pool) || pool.owner() != this) throw new IllegalArgumentException(op + ": the cache was not made here");
        require(layer >= 0 && layer < kv.spec().kvHeads().length, "%s: layer %d of a cache of %d layers", op, layer,
                kv.spec().kvHeads().length);
        return pool.open();
    }

    private KvPool append(String op, Act q, Act k, Act v, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer) {
        KvPool pool = cache(op, kv, layer);
        int size = kv.spec().headSize();
        int kvCols = kv.spec().kvHeads()[layer] * size;
        require(rope.headSize() == size, "%s: the rotation is for heads of %d, the cache for %d", op, rope.headSize(), size);
        require(rope.dims() >= 0 && rope.dims() % 2 == 0 && rope.dims() <= size, "%s: %d of %d values rotate", op, rope.dims(), size);
        require(q.cols() % size == 0, "%s: q has %d columns, heads have %d", op, q.cols(), size);
        floats(op, "q", q, q.cols());
        floats(op, "k", k, kvCols);
        floats(op, "v", v, kvCols);
        values(op, "table", rope.table(), rope.table().size());
        if (norm != null) {
            values(op, "q gain", norm.q(), size);
            values(op, "k gain", norm.k(), size);
        }
        bound(Integer.MAX_VALUE, rope.dims() == 0 ? Integer.MAX_VALUE : rope.positions(), kv.blocks());
        return pool;
    }

    @Override
    public void ropeAppend(Act q, Act k, Act v, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer) {
        ops.ropeAppend(q, k, v, norm, rope, append("ropeAppend", q, k, v, norm, rope, kv, layer), layer);
    }

    @Override
    public void attend(Act q, KvPool kv, int layer, Attention a, Act out) {
        KvPool pool = cache("attend", kv, layer);
        int size = kv.spec().headSize();
        require(a.headSize() == size, "attend: heads of %d, the cache has heads of %d", a.headSize(), size);
        floats("attend", "q", q, a.heads() * size);
        act("attend", "out", out, a.heads() * size);
        for (int h : a.kvOf())
            require(h >= 0 && h < kv.spec().kvHeads()[layer], "attend: a query head reads key head %d of %d", h,
                    kv.spec().kvHeads()[layer]);
        require(a.window() >= 0, "attend: a window of %d positions", a.window());
        require(a.softCap() >= 0, "attend: a soft cap of %s", a.softCap());
        distinct("attend: q and out", q, out);
        bound(Integer.MAX_VALUE, Integer.MAX_VALUE, kv.blocks());
        ops.attend(q, pool, layer, a, out);
    }

    @Override
    public void activate(Activation f, Act gate, @Nullable Act up, Act out) {
        floats("activate", "gate", gate, gate.cols());
        if (up != null) floats("activate", "up", up, gate.cols());
        act("activate", "out", out, gate.cols());
        ops.activate(f, gate, up, out);
    }

    private void set(String op, RowSet s, int capacity) {
        if (!operands.containsKey(s)) throw new IllegalStateException(op + ": the set of rows is not of an open workspace here");
        require(s.capacity() == capacity, "%s: a set of up to %d rows where there are %d", op, s.capacity(), capacity);
    }

    @Override
    public void select(Act scores, float threshold, RowSet out) {
        floats("select", "scores", scores, scores.cols());
        set("select", out, scores.cols());
        require(!Float.isNaN(threshold), "select: a threshold that is not a number");
        ops.select(scores, threshold, out);
    }

    @Override
    public void rows(Act x, Linear w, RowSet active, Act compact) {
        weight("rows", x, w, Use.ROWS);
        set("rows", active, w.weight().rows());
        floats("rows", "compact", compact, w.weight().rows());
        distinct("rows: x and compact", x, compact);
        ops.rows(x, w, active, compact);
    }

    private void transposed(String op, Act compact, Linear w, RowSet active, Act y) {
        Weight weight = w.weight();
        use(op, weight, Use.COLUMNS);
        set(op, active, weight.rows());
        floats(op, "compact", compact, weight.rows());
        floats(op, "y", y, weight.cols());
        if (w.bias() != null) values(op, "bias", w.bias(), weight.cols());
        distinct(op + ": compact and y", compact, y);
    }

    @Override
    public void columns(Act compact, Linear wT, RowSet active, Act y) {
        transposed("columns", compact, wT, active, y);
        ops.columns(compact, wT, active, y);
    }

    @Override
    public void logits(Act x, Linear w, float softCap, Logits out) {
        weight("logits", x, w);
        require(softCap >= 0, "logits: a soft cap of %s", softCap);
        Batch b = requireInside("logits");
        Room room = operands.get(out);
        if (room == null) throw new IllegalStateException("logits: the output is not of an open workspace here");
        require(b.logitRows() <= room.limits().logitRows(), "logits: %d rows ask, there is room for %d", b.logitRows(),
                room.limits().logitRows());
        require(out.vocabulary() == w.weight().rows(), "logits: room for %d tokens, the weight has %d rows", out.vocabulary(),
                w.weight().rows());
        ops.logits(x, w, softCap, out);
    }

    @Override
    public void topK(Logits l, int k, TopK out) {
        Batch b = requireInside("topK");
        Room from = operands.get(l);
        Room to = operands.get(out);
        if (from == null || to == null) throw new IllegalStateException("topK: not of an open workspace here");
        int room = Math.min(from.limits().logitRows(), to.limits().logitRows());
        require(b.logitRows() <= room, "topK: %d rows ask, there is room for %d", b.logitRows(), room);
        require(k == out.k() && k <= l.vocabulary(), "topK: the best %d of %d tokens into room for %d", k, l.vocabulary(), out.k());
        ops.topK(l, k, out);
    }

    @Override
    public void qkv(Act x, Qkv w, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer, Act q, Act k, Act v) {
        weight("qkv", x, w.q());
        weight("qkv", x, w.k());
        weight("qkv", x, w.v());
        require(q.cols() == w.q().weight().rows() && k.cols() == w.k().weight().rows() && v.cols() == w.v().weight().rows(),
                "qkv: outputs of %d, %d, %d columns for weights of %d, %d, %d rows", q.cols(), k.cols(), v.cols(), w.q().weight().rows(),
                w.k().weight().rows(), w.v().weight().rows());
        ops.qkv(x, w, norm, rope, append("qkv", q, k, v, norm, rope, kv, layer), layer, q, k, v);
    }

    @Override
    public void ffn(Act x, Ffn w, Act gate, Act up, Act hidden, Act delta) {
        Linear first = w instanceof Ffn.Gated g ? g.up() : ((Ffn.Plain) w).up();
        int width = first.weight().rows();
        weight("ffn", x, first);
        if (w instanceof Ffn.Gated g) {
            weight("ffn", x, g.gate());
            floats("ffn", "gate", gate, width);
            require(g.gate().weight().rows() == width, "ffn: the gate has %d rows, up %d", g.gate().weight().rows(), width);
        }
        floats("ffn", "up", up, width);
        require(w.down().weight().cols() == width, "ffn: down takes %d columns, up gives %d", w.down().weight().cols(), width);
        weight("ffn", hidden, w.down());
        floats("ffn", "delta", delta, w.down().weight().rows());
        ops.ffn(x, w, gate, up, hidden, delta);
    }

    @Override
    public void ffn(Act x, Ffn w, RowSet active, Act gate, Act up, Act hidden, Act delta) {
        Linear first = w instanceof Ffn.Gated g ? g.up() : ((Ffn.Plain) w).up();
        int width = first.weight().rows();
        weight("ffn", x, first, Use.ROWS);
        if (w instanceof Ffn.Gated g) {
            weight("ffn", x, g.gate(), Use.ROWS);
            floats("ffn", "gate", gate, width);
            require(g.gate().weight().rows() == width, "ffn: the gate has %d rows, up %d", g.gate().weight().rows(), width);
        }
        floats("ffn", "up", up, width);
        require(w.down().weight().rows() == width, "ffn: the transposed down has %d rows, up %d", w.down().weight().rows(), width);
        transposed("ffn", hidden, w.down(), active, delta);
        ops.ffn(x, w, active, gate, up, hidden, delta);
    }

    // ---- outside run()

    private int rows(Act a) {
        Room room = operands.get(a);
        if (room == null) throw new IllegalStateException("not an activation of an open workspace here");
        return room.limits().rows();
    }

    @Override
    public void write(Act a, float[] v) {
        requireOutside("write");
        require(v.length % a.cols() == 0 && v.length / a.cols() <= rows(a), "%d values into rows of %d, at most %d", v.length, a.cols(),
                rows(a));
        ops.write(a, v);
    }

    @Override
    public void write(RowSet set, int[] rows) {
        requireOutside("write");
        if (!operands.containsKey(set)) throw new IllegalStateException("not of an open workspace here");
        for (int i = 0; i < rows.length; i++) {
            require(rows[i] >= 0 && rows[i] < set.capacity(), "row %d in a set of up to %d", rows[i], set.capacity());
            require(i == 0 || rows[i] > rows[i - 1], "row %d after row %d: a set's rows rise", rows[i], i == 0 ? 0 : rows[i - 1]);
        }
        ops.write(set, rows);
    }

    @Override
    public int[] read(RowSet set) {
        requireOutside("read");
        if (!operands.containsKey(set)) throw new IllegalStateException("not of an open workspace here");
        return ops.read(set);
    }

    @Override
    public float[] read(Act a, int rows) {
        requireOutside("read");
        require(rows >= 0 && rows <= rows(a), "%d rows of an activation of at most %d", rows, rows(a));
        return ops.read(a, rows);
    }

    @Override
    public float[] read(Logits l) {
        requireOutside("read");
        if (!operands.containsKey(l)) throw new IllegalStateException("not of an open workspace here");
        return ops.read(l);
    }

    @Override
    public int[] read(TopK t) {
        requireOutside("read");
        if (!operands.containsKey(t)) throw new IllegalStateException("not of an open workspace here");
        return ops.read(t);
    }

    @Override
    public void close() {
        if (closed) return;
        requireOutside("close");
        if (openOperands() != 0)
            throw new IllegalStateException("close workspaces and caches first: " + openOperands() + " operands are open");
        closed = true;
        OPEN.decrementAndGet();
        placed.clear();
        uses.clear();
        ops.close();
    }
}
