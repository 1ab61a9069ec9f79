package dev.lacuna.ops;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A device in software: an address space of its own, steps that are captured once and replayed, and the arithmetic of the reference. What breaks it
 * would break a captured CUDA graph: operands that are looked into, host memory that is kept, a body that reads back, allocates or branches on the
 * batch.
 */
class FakeDevice implements Ops {
    private final ReferenceOps kernels;
    private final Arena memory = Arena.ofShared();
    private final Map<Integer, Object> heap = new HashMap<>();
    private final Map<Step, List<Call>> graphs = new HashMap<>();
    private final boolean verifyReplay;
    private @Nullable List<Call> recording;
    private @Nullable Batch resident;
    private int nextAddress = 0x1000;
    private int replays;

    /**
     * Makes a device.
     *
     * @param verifyReplay whether a body that is about to be replayed is run once more without its kernels, to see that it still is what was recorded
     */
    FakeDevice(int threads, boolean verifyReplay) {
        kernels = new ReferenceOps(threads);
        this.verifyReplay = verifyReplay;
    }

    /** A node of a graph. Its name and operands are what a body is compared by. */
    private record Call(String op, List<@Nullable Object> operands, Runnable kernel) {
        boolean same(Call other) {
            return op.equals(other.op) && operands.equals(other.operands);
        }
    }

    // ---- handles: nothing but an address and the shape that the interface shows

    private record WeightAt(int address, int rows, int cols, Format format, InputPolicy policy, long bytes) implements Weight {}

    private record ValuesAt(int address, int size) implements Values {}

    private record ActAt(int address, int cols, InputPolicy policy) implements Act {}

    private record LogitsAt(int address, int vocabulary) implements Logits {}

    private record TopKAt(int address, int k) implements TopK {}

    private record RowSetAt(int address, int capacity) implements RowSet {}

    private int store(Object o) {
        requireHost("allocation");
        heap.put(nextAddress, o);
        return nextAddress += 0x10;
    }

    private <T> T load(int handle, Class<T> type) {
        Object o = heap.get(handle - 0x10);
        if (o == null) throw new IllegalStateException("nothing lives at device address " + Integer.toHexString(handle));
        return type.cast(o);
    }

    private Act at(Act a) {
        return load(((ActAt) a).address, Act.class);
    }

    private @Nullable Act atOrNull(@Nullable Act a) {
        return a == null ? null : at(a);
    }

    private Values at(Values v) {
        return load(((ValuesAt) v).address, Values.class);
    }

    private RowSet at(RowSet s) {
        return load(((RowSetAt) s).address, RowSet.class);
    }

    private @Nullable Values atOrNull(@Nullable Values v) {
        return v == null ? null : at(v);
    }

    private Weight at(Weight w) {
        return load(((WeightAt) w).address, Weight.class);
    }

    private Linear at(Linear w) {
        return new Linear(at(w.weight()), atOrNull(w.bias()));
    }

    private @Nullable Norm atOrNull(@Nullable Norm n) {
        return n == null ? null : new Norm(n.kind(), at(n.gain()), atOrNull(n.bias()), n.eps());
    }

    private KvPool at(KvPool pool) {
        return load(((PoolAt) pool).address, KvPool.class);
    }

    // ---- memory

    private void requireHost(String what) {
        if (recording != null) throw new IllegalStateException(what + " while a step is captured");
    }

    @Override
    public List<Weight> place(List<Tensor> tensors, InputPolicy policy, Set<Use> uses) {
        requireHost("place");
        List<Tensor> uploaded = new ArrayList<>();
        for (Tensor t : tensors) {
            MemorySegment bytes = memory.allocate(t.data().byteSize());
            bytes.copyFrom(t.data());
            uploaded.add(new Tensor(t.name(), t.format(), t.rows(), t.cols(), bytes));
        }
        List<Weight> weights = new ArrayList<>();
        for (Weight w : kernels.place(uploaded, policy, uses)) {
            weights.add(new WeightAt(store(w), w.rows(), w.cols(), w.format(), w.policy(), uploaded.get(weights.size()).data().byteSize()));
        }
        return List.copyOf(weights);
    }

    @Override
    public List<Format> gathers() {
        return kernels.gathers();
    }

    @Override
    public Values values(float[] v) {
        return new ValuesAt(store(kernels.values(v)), v.length);
    }

    @Override
    public KvPool kv(KvSpec spec, int blocks) {
        KvSpec copy = new KvSpec(spec.kvHeads().clone(), spec.headSize(), spec.type());
        return new PoolAt(copy, blocks, store(kernels.kv(copy, blocks)));
    }

    private final class PoolAt implements KvPool {
        private final KvSpec spec;
        private final int blocks;
        private final int address;

        PoolAt(KvSpec spec, int blocks, int address) {
            this.spec = spec;
            this.blocks = blocks;
            this.address = address;
        }

        @Override
        public KvSpec spec() {
            return spec;
        }

        @Override
        public int blocks() {
            return blocks;
        }

        @Override
        public long bytes() {
            return spec.blockBytes() * blocks;
        }

        @Override
        public void copyBlock(int from, int to) {
            requireHost("copyBlock");
            at(this).copyBlock(from, to);
        }

        @Override
        public float[] readKeys(int layer, int block) {
            requireHost("readKeys");
            return at(this).readKeys(layer, block);
        }

        @Override
        public float[] readValues(int layer, int block) {
            requireHost("readValues");
            return at(this).readValues(layer, block);
        }

        @Override
        public void close() {
            free(address);
        }
    }

    private void free(int handle) {
        requireHost("free");
        // a graph that holds the address must never run again
        if (heap.remove(handle - 0x10) != null) graphs.clear();
    }

    @Override
    public Workspace workspace(Limits max) {
        requireHost("workspace");
        return new Room(kernels.workspace(max));
    }

    private final class Room implements Workspace {
        private final Workspace room;
        private final List<Integer> owned = new ArrayList<>();

        Room(Workspace room) {
            this.room = room;
        }

        private int own(Object o) {
            int handle = store(o);
            owned.add(handle);
            return handle;
        }

        @Override
        public Limits limits() {
            return room.limits();
        }

        @Override
        public Act act(int cols, InputPolicy policy) {
            return new ActAt(own(room.act(cols, policy)), cols, policy);
        }

        @Override
        public Logits logits(int vocabulary) {
            return new LogitsAt(own(room.logits(vocabulary)), vocabulary);
        }

        @Override
        public TopK topK(int k) {
            return new TopKAt(own(room.topK(k)), k);
        }

        @Override
        public RowSet rowSet(int capacity) {
            return new RowSetAt(own(room.rowSet(capacity)), capacity);
        }

        @Override
        public long bytes() {
            return room.bytes();
        }

        @Override
        public void close() {
            owned.forEach(FakeDevice.this::free);
            owned.clear();
            room.close();
        }
    }

    @Override
    public List<Decision> decisions() {
        return kernels.decisions();
    }

    @Override
    public boolean captures() {
        return true;
    }

    // ---- steps

    @Override
    public void run(Step key, Batch batch, Runnable body) {
        requireHost("run");
        upload(batch);
        List<Call> graph = graphs.get(key);
        if (graph == null) {
            graph = record(body);
            graphs.put(key, graph);
        } else {
            replays++;
            if (verifyReplay) verify(graph, record(body), key);
        }
        launch(key, graph);
    }

    private List<Call> record(Runnable body) {
        List<Call> calls = new ArrayList<>();
        recording = calls;
        try {
            body.run();
        } finally {
            recording = null;
        }
        return calls;
    }

    private static void verify(List<Call> recorded, List<Call> now, Step key) {
        for (int i = 0; i < Math.max(recorded.size(), now.size()); i++) {
            if (i >= recorded.size() || i >= now.size() || !recorded.get(i).same(now.get(i))) {
                String was = i < recorded.size() ? recorded.get(i).op : "nothing";
                String is = i < now.size() ? now.get(i).op : "nothing";
                throw new IllegalStateException(
                        "call " + i + " of " + key + " was recorded as " + was + " and is now " + is + " or has other operands");
            }
        }
    }

    /** Copies the batch into the device's own, which graphs read. */
    void upload(Batch batch) {
        Batch to = resident;
        if (to == null || !to.limits().equals(batch.limits())) resident = to = new Batch(batch.limits());
        to.copyFrom(batch);
    }

    private void launch(Step key, List<Call> graph) {
        Batch b = resident;
        if (b == null) throw new IllegalStateException("no batch was uploaded");
        kernels.run(key, b, () -> graph.forEach(c -> c.kernel.run()));
    }

    /** Steps that ran without their body's kernels being called from it. */
    int replays() {
        return replays;
    }

    private void capture(String op, Runnable kernel, @Nullable Object... operands) {
        if (recording == null) throw new IllegalStateException(op + " outside run()");
        recording.add(new Call(op, Arrays.asList(operands), kernel));
    }

    @Override
    public void embed(Embedding e, Act x) {
        Weight learned = e.positions();
        capture("embed",
                () -> kernels.embed(new Embedding(at(e.table()), e.scale(), learned == null ? null : at(learned), e.offset()), at(x)),
                e, x);
    }

    @Override
    public void addNorm(Act residual, @Nullable Act delta, @Nullable Norm post, @Nullable Norm norm, boolean keepNormed,
            @Nullable Act out) {
        capture("addNorm", () -> kernels.addNorm(at(residual), atOrNull(delta), atOrNull(post), atOrNull(norm), keepNormed, atOrNull(out)),
                residual,
                delta, post, norm, keepNormed, out);
    }

    @Override
    public void linear(Act x, Linear w, Act y) {
        capture("linear", () -> kernels.linear(at(x), at(w), at(y)), x, w, y);
    }

    @Override
    public void ropeAppend(Act q, Act k, Act v, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer) {
        capture("ropeAppend",
                () -> kernels.ropeAppend(at(q), at(k), at(v), norm == null ? null : new HeadNorm(at(norm.q()), at(norm.k()), norm.eps()),
                        new Rope(at(rope.table()), rope.dims(), rope.headSize(), rope.interleaved()), at(kv), layer),
                q, k, v, norm, rope, kv, layer);
    }

    @Override
    public void attend(Act q, KvPool kv, int layer, Attention a, Act out) {
        Attention copy = new Attention(a.kvOf().clone(), a.headSize(), a.scale(), a.window(), a.softCap());
        List<Integer> kvOf = Arrays.stream(a.kvOf()).boxed().toList();
        capture("attend", () -> kernels.attend(at(q), at(kv), layer, copy, at(out)), q, kv, layer, kvOf, a.headSize(), a.scale(),
                a.window(),
                a.softCap(), out);
    }

    @Override
    public void activate(Activation f, Act gate, @Nullable Act up, Act out) {
        capture("activate", () -> kernels.activate(f, at(gate), atOrNull(up), at(out)), f, gate, up, out);
    }

    @Override
    public void select(Act scores, float threshold, RowSet out) {
        capture("select", () -> kernels.select(at(scores), threshold, at(out)), scores, threshold, out);
    }

    @Override
    public void rows(Act x, Linear w, RowSet active, Act compact) {
        capture("rows", () -> kernels.rows(at(x), at(w), at(active), at(compact)), x, w, active, compact);
    }

    @Override
    public void columns(Act compact, Linear wT, RowSet active, Act y) {
        capture("columns", () -> kernels.columns(at(compact), at(wT), at(active), at(y)), compact, wT, active, y);
    }

    @Override
    public void logits(Act x, Linear w, float softCap, Logits out) {
        capture("logits", () -> kernels.logits(at(x), at(w), softCap, load(((LogitsAt) out).address, Logits.class)), x, w, softCap, out);
    }

    @Override
    public void topK(Logits l, int k, TopK out) {
        capture("topK", () -> kernels.topK(load(((LogitsAt) l).address, Logits.class), k, load(((TopKAt) out).address, TopK.class)), l, k,
                out);
    }

    // ---- transfers

    @Override
    public void write(Act a, float[] v) {
        requireHost("write");
        kernels.write(at(a), v);
    }

    @Override
    public void write(RowSet set, int[] rows) {
        requireHost("write");
        kernels.write(at(set), rows);
    }

    @Override
    public int[] read(RowSet set) {
        requireHost("read");
        return kernels.read(at(set));
    }

    @Override
    public float[] read(Act a, int rows) {
        requireHost("read");
        return kernels.read(at(a), rows);
    }

    @Override
    public float[] read(Logits l) {
        requireHost("read");
        return kernels.read(load(((LogitsAt) l).address, Logits.class));
    }

    @Override
    public int[] read(TopK t) {
        requireHost("read");
        return kernels.read(load(((TopKAt) t).address, TopK.class));
    }

    @Override
    public void close() {
        requireHost("close");
        heap.clear();
        graphs.clear();
        memory.close();
        kernels.close();
    }
}
