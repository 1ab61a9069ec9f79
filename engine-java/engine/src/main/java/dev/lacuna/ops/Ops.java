package dev.lacuna.ops;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The kernels of one memory space, called by one engine loop. Only {@link Backends#open} hands one out, wrapped in {@link CheckedOps}.
 *
 * <p>Everything is a matrix: weights {@code [out x in]}, activations {@code [rows x cols]} with the rows of the current {@link Batch}. Primitives are
 * abstract; fused operations are defaults written with primitives, which is their definition and their test; a backend overrides what it fuses.
 *
 * <p>A row never depends on the other rows of its batch, and the split of work over threads never changes a result.
 */
public interface Ops extends AutoCloseable {

    // ---- load time: the only place that decides or allocates

    /**
     * Places weights that are fed by one activation (Q, K, V; gate, up), so that they share one input packing. A tied table is placed once with both
     * uses; {@link Use#ROWS} and {@link Use#COLUMNS} have a layout of their own and stand alone. The tensors' memory must stay alive and unchanged until
     * this object is closed.
     *
     * @throws UnsupportedKernelException if no kernel of this memory space takes a format with the wanted input, or if in strict mode only a slower
     *                                    tier does
     */
    List<Weight> place(List<Tensor> tensors, InputPolicy policy, Set<Use> uses);

    /** The formats that {@link #rows} and {@link #columns} take here, best first; {@link #place} refuses others for these uses. */
    default List<Format> gathers() {
        return List.of();
    }

    /** Copies gains, biases or a rotation table to where the kernels are. */
    Values values(float[] v);

    /** Allocates the bytes of a cache of {@code blocks} blocks, block 0 among them, which is the scrap block of padding rows. */
    KvPool kv(KvSpec spec, int blocks);

    /** Makes room for the operands of one model; nothing is allocated after they have been asked for. */
    Workspace workspace(Limits max);

    /** Bytes that operands can still have where the kernels are; empty where they share the host's memory. */
    default OptionalLong available() {
        return OptionalLong.empty();
    }

    /** What was chosen for each (op, format, input) so far, and why. */
    List<Decision> decisions();

    /** The inputs of a model that names none: what is fastest here of what costs little quality. */
    default InputPolicy inputs() {
        return InputPolicy.I8;
    }

    /** Whether {@link #run} records a step and replays it; the loop then pads batches to few distinct shapes. */
    default boolean captures() {
        return false;
    }

    // ---- one step

    /**
     * Makes {@code batch} current, then runs {@code body}; a capturing backend records it at the first use of {@code key} and replays it later. Inside
     * the body nothing is read back or allocated, and nothing branches on the batch. A body that throws is not recorded; closing a workspace or a cache
     * forgets every recorded step. The batch may be reused as soon as this returns.
     */
    void run(Step key, Batch batch, Runnable body);

    // ---- primitives

    /** {@code x[r] = scale * table[batch.id[r]]}, plus {@code positions[offset + batch.pos[r]]} where positions are learned. */
    void embed(Embedding e, Act x);

    /**
     * {@code d = post == null ? delta : post(delta)}; {@code r = residual + d}; {@code out = norm(r)}, packed for its consumer; then
     * {@code residual = r}, or {@code norm(r)} where {@code keepNormed} (post-layer-norm families).
     *
     * @param residual {@code [rows x dim]}, read and written
     * @param delta    {@code [rows x dim]}; null: norm only
     * @param post     norm of the delta; null: none
     * @param norm     null: add only, and {@code out} must be null
     */
    void addNorm(Act residual, @Nullable Act delta, @Nullable Norm post, @Nullable Norm norm, boolean keepNormed, @Nullable Act out);

    /** {@code y = x . w^T + bias}; {@code x [rows x in]} in the input that the weight was placed for, {@code y [rows x out]} in F32. */
    void linear(Act x, Linear w, Act y);

    /**
     * Normalizes each head of q and k where {@code norm} is given, rotates them by their position, and appends k and v to the cache at (sequence,
     * position). Padding rows go to the scrap block.
     */
    void ropeAppend(Act q, Act k, Act v, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer);

    /**
     * Softmax attention of each query row over its sequence's cached positions up to its own, within the window; packed for its consumer.
     * Padding rows give zeros.
     */
    void attend(Act q, KvPool kv, int layer, Attention a, Act out);

    /** {@code out = f(gate) * up}, or {@code f(gate)} where up is null; packed for its consumer. */
    void activate(Activation f, Act gate, @Nullable Act up, Act out);

    /**
     * Chooses the rows {@code j} whose score {@code scores[r][j]} is above the threshold in any row {@code r} of the batch that is not padding. What is not
     * a number is above nothing.
     *
     * @param scores {@code [rows x out.capacity]}, F32
     */
    default void select(Act scores, float threshold, RowSet out) {
        throw new UnsupportedKernelException("these kernels gather no rows");
    }

    /**
     * {@code compact[r][j] = w[active[j]] . x[r] + bias[active[j]]} for each {@code j} below the size of the set, 0 from there on.
     *
     * @param w       {@code [active.capacity x in]}, placed for {@link Use#ROWS}
     * @param compact {@code [rows x active.capacity]}, F32
     */
    default void rows(Act x, Linear w, RowSet active, Act compact) {
        throw new UnsupportedKernelException("these kernels gather no rows");
    }

    /**
     * {@code y[r] = bias + sum of compact[r][j] * wT[active[j]]} over each {@code j} below the size of the set.
     *
     * @param compact {@code [rows x active.capacity]}, F32
     * @param wT      the transposed matrix {@code [active.capacity x out]}, placed for {@link Use#COLUMNS}; its bias has {@code out} values
     * @param y       {@code [rows x out]}, F32
     */
    default void columns(Act compact, Linear wT, RowSet active, Act y) {
        throw new UnsupportedKernelException("these kernels gather no rows");
    }

    /** {@code out[i] = cap(w . x[batch.logitRow[i]])}, {@code cap(z) = softCap * tanh(z / softCap)} unless {@code softCap} is 0. */
    void logits(Act x, Linear w, float softCap, Logits out);

    /** The {@code k} largest logits of each row in falling order, ties to the smaller id. */
    void topK(Logits l, int k, TopK out);

    // ---- fused: the default bodies are the definition

    /** Projections to q, k and v, head norms, rotation and cache append. */
    default void qkv(Act x, Qkv w, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer, Act q, Act k, Act v) {
        linear(x, w.q(), q);
        linear(x, w.k(), k);
        linear(x, w.v(), v);
        ropeAppend(q, k, v, norm, rope, kv, layer);
    }

    /**
     * Feed-forward block: {@code delta = down(f(gate(x)) * up(x))}, or {@code down(f(up(x)))} for a plain one, which leaves {@code gate} alone.
     *
     * @param gate   {@code [rows x width]} scratch, F32
     * @param up     {@code [rows x width]} scratch, F32
     * @param hidden {@code [rows x width]} scratch, packed for down
     */
    default void ffn(Act x, Ffn w, Act gate, Act up, Act hidden, Act delta) {
        switch (w) {
            case Ffn.Gated g -> {
                linear(x, g.gate(), gate);
                linear(x, g.up(), up);
                activate(g.activation(), gate, up, hidden);
                linear(hidden, g.down(), delta);
            }
            case Ffn.Plain p -> {
                linear(x, p.up(), up);
                activate(p.activation(), up, null, hidden);
                linear(hidden, p.down(), delta);
            }
        }
    }

    /**
     * A feed-forward block of which only the neurons in {@code active} run.
     *
     * @param w      gate and up placed for {@link Use#ROWS}, down transposed and placed for {@link Use#COLUMNS}
     * @param gate   {@code [rows x width]} scratch, F32
     * @param up     {@code [rows x width]} scratch, F32
     * @param hidden {@code [rows x width]} scratch, F32
     */
    default void ffn(Act x, Ffn w, RowSet active, Act gate, Act up, Act hidden, Act delta) {
        switch (w) {
            case Ffn.Gated g -> {
                rows(x, g.gate(), active, gate);
                rows(x, g.up(), active, up);
                activate(g.activation(), gate, up, hidden);
            }
            case Ffn.Plain p -> {
                rows(x, p.up(), active, up);
                activate(p.activation(), up, null, hidden);
            }
        }
        columns(hidden, w.down(), active, delta);
    }

    // ---- outside run()

    /** Chooses the rows of a set: ascending, each once, below its capacity. */
    default void write(RowSet set, int[] rows) {
        throw new UnsupportedKernelException("these kernels gather no rows");
    }

    /** The rows of a set, as {@link #select} or {@link #write} left it. */
    default int[] read(RowSet set) {
        throw new UnsupportedKernelException("these kernels gather no rows");
    }

    /** Packs {@code v}, row after row, into {@code a} as {@code rows = v.length / a.cols()} rows. */
    void write(Act a, float[] v);

    /** The first {@code rows} rows, unpacked. */
    float[] read(Act a, int rows);

    /** The rows of the last step and no others, {@code [batch.logitRows x vocabulary]}. */
    float[] read(Logits l);

    /** The rows of the last step and no others, {@code [batch.logitRows x k]} ids. */
    int[] read(TopK t);

    /** Frees what was placed; workspaces and pools must be closed before. */
    @Override
    void close();
}
