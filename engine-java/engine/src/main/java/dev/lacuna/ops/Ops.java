package dev.lacuna.ops;

import dev.lacuna.tensor.Tensor;
import java.util.List;
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
     * uses. The tensors' memory must stay alive and unchanged until this object is closed.
     *
     * @throws UnsupportedKernelException if no kernel of this memory space takes a format with the wanted input, or if in strict mode only a slower
     *                                    tier does
     */
    List<Weight> place(List<Tensor> tensors, InputPolicy policy, Set<Use> uses);

    /** Copies gains, biases or a rotation table to where the kernels are. */
    Values values(float[] v);

    /** Allocates the bytes of a cache of {@code blocks} blocks, block 0 among them, which is the scrap block of padding rows. */
    KvPool kv(KvSpec spec, int blocks);

    /** Makes room for the operands of one model; nothing is allocated after they have been asked for. */
    Workspace workspace(Limits max);

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

    // ---- outside run()

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
