package dev.lacuna.ops;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Forwards the primitives and nothing else, so that the default bodies of the fused operations run. */
class PrimitivesOnly implements Ops {
    final Ops ops;

    PrimitivesOnly(Ops ops) {
        this.ops = ops;
    }

    @Override
    public List<Weight> place(List<Tensor> tensors, InputPolicy policy, Set<Use> uses) {
        return ops.place(tensors, policy, uses);
    }

    @Override
    public List<Format> gathers() {
        return ops.gathers();
    }

    @Override
    public Values values(float[] v) {
        return ops.values(v);
    }

    @Override
    public KvPool kv(KvSpec spec, int blocks) {
        return ops.kv(spec, blocks);
    }

    @Override
    public Workspace workspace(Limits max) {
        return ops.workspace(max);
    }

    @Override
    public List<Decision> decisions() {
        return ops.decisions();
    }

    @Override
    public boolean captures() {
        return ops.captures();
    }

    @Override
    public void run(Step key, Batch batch, Runnable body) {
        ops.run(key, batch, body);
    }

    @Override
    public void embed(Embedding e, Act x) {
        ops.embed(e, x);
    }

    @Override
    public void addNorm(Act residual, @Nullable Act delta, @Nullable Norm post, @Nullable Norm norm, boolean keepNormed,
            @Nullable Act out) {
        ops.addNorm(residual, delta, post, norm, keepNormed, out);
    }

    @Override
    public void linear(Act x, Linear w, Act y) {
        ops.linear(x, w, y);
    }

    @Override
    public void ropeAppend(Act q, Act k, Act v, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer) {
        ops.ropeAppend(q, k, v, norm, rope, kv, layer);
    }

    @Override
    public void attend(Act q, KvPool kv, int layer, Attention a, Act out) {
        ops.attend(q, kv, layer, a, out);
    }

    @Override
    public void activate(Activation f, Act gate, @Nullable Act up, Act out) {
        ops.activate(f, gate, up, out);
    }

    @Override
    public void select(Act scores, float threshold, RowSet out) {
        ops.select(scores, threshold, out);
    }

    @Override
    public void rows(Act x, Linear w, RowSet active, Act compact) {
        ops.rows(x, w, active, compact);
    }

    @Override
    public void columns(Act compact, Linear wT, RowSet active, Act y) {
        ops.columns(compact, wT, active, y);
    }

    @Override
    public void logits(Act x, Linear w, float softCap, Logits out) {
        ops.logits(x, w, softCap, out);
    }

    @Override
    public void topK(Logits l, int k, TopK out) {
        ops.topK(l, k, out);
    }

    @Override
    public void write(Act a, float[] v) {
        ops.write(a, v);
    }

    @Override
    public void write(RowSet set, int[] rows) {
        ops.write(set, rows);
    }

    @Override
    public int[] read(RowSet set) {
        return ops.read(set);
    }

    @Override
    public float[] read(Act a, int rows) {
        return ops.read(a, rows);
    }

    @Override
    public float[] read(Logits l) {
        return ops.read(l);
    }

    @Override
    public int[] read(TopK t) {
        return ops.read(t);
    }

    @Override
    public void close() {
        ops.close();
    }
}
