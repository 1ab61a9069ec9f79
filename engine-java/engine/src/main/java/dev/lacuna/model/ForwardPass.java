package dev.lacuna.model;

import dev.lacuna.model.Decoder.AttentionBlock;
import dev.lacuna.model.Decoder.FeedForward;
import dev.lacuna.ops.Act;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.Ffn;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.Limits;
import dev.lacuna.ops.Logits;
import dev.lacuna.ops.Norm;
import dev.lacuna.ops.Step;
import dev.lacuna.ops.TopK;
import dev.lacuna.ops.Weight;
import dev.lacuna.ops.Workspace;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * One step of a decoder on a batch.
 *
 * <pre>
 *  ids -> embed -> x ---------------+---------------------------+--------- ... --+
 *                  |                | (residual)                |                |
 *                  +-> addNorm -> qkv -> attend -> output -> addNorm -> ffn -> addNorm -> logits -> best
 *                                  |       |                     d              d
 *                                  +-> KV -+
 * </pre>
 *
 * The body of a step reads nothing back and branches on nothing but the model's shape, so that a device can capture it once and replay it.
 */
public final class ForwardPass implements AutoCloseable {
    private static final AtomicInteger PROGRAMS = new AtomicInteger();

    private final int program = PROGRAMS.incrementAndGet();
    private final Decoder decoder;
    private final CheckedOps ops;
    private final KvPool kv;
    private final Workspace room;
    private final Act x; // [rows x dim], the residual stream
    private final Act delta; // [rows x dim], what a block adds to it
    private final Logits logits;
    private final TopK best;
    private final Act normed; // [rows x dim], packed for the output
    private final List<LayerActs> layers = new ArrayList<>();

    /** The operands of one layer, shared by all layers of the same shape; null where a module is absent. */
    private record LayerActs(@Nullable AttentionActs attention, @Nullable FfnActs ffn) {}

    private record AttentionActs(Act in, Act q, Act k, Act v, Act mixed) {}

    private record FfnActs(Act in, Act gate, Act up, Act hidden) {}

    ForwardPass(Decoder decoder, Limits limits, KvPool kv) {
        this.decoder = decoder;
        this.kv = kv;
        ops = decoder.ops();
        room = ops.workspace(limits);
        ModelSpec spec = decoder.spec();
        x = room.act(spec.dim(), InputPolicy.F32);
        delta = room.act(spec.dim(), InputPolicy.F32);
        logits = room.logits(spec.vocabulary());
        best = room.topK(1);
        Shared shared = new Shared(room, new HashMap<>());
        normed = shared.act("normed", spec.dim(), decoder.output().weight().policy());
        for (Decoder.Layer l : decoder.layers()) {
            AttentionBlock a = l.attention();
            FeedForward f = l.ffn();
            layers.add(new LayerActs(a == null ? null : shared.attention(a), f == null ? null : shared.ffn(f, spec.dim())));
        }
    }

    /** Hands out one operand for each role and shape. */
    private record Shared(Workspace room, Map<String, Act> acts) {
        Act act(String role, int cols, InputPolicy policy) {
            return acts.computeIfAbsent(role + " " + cols + " " + policy, k -> room.act(cols, policy));
        }

        AttentionActs attention(AttentionBlock a) {
            Weight q = a.qkv().q().weight();
            Weight output = a.output().weight();
            return new AttentionActs(act("normed", q.cols(), q.policy()), act("q", q.rows(), InputPolicy.F32),
                    act("k", a.qkv().k().weight().rows(), InputPolicy.F32), act("v", a.qkv().v().weight().rows(), InputPolicy.F32),
                    act("mixed", output.cols(), output.policy()));
        }

        FfnActs ffn(FeedForward f, int dim) {
            InputPolicy in = switch (f.ffn()) {
                case Ffn.Gated g -> g.up().weight().policy();
                case Ffn.Plain p -> p.up().weight().policy();
            };
            return new FfnActs(act("normed", dim, in), act("gate", f.width(), InputPolicy.F32), act("up", f.width(), InputPolicy.F32),
                    act("hidden", f.width(), f.ffn().down().weight().policy()));
        }
    }

    /** Runs one step; its logits and best tokens can be read until the next. */
    public void run(Batch batch) {
        ops.run(Step.of(program, batch), batch, () -> forward(batch));
    }

    private void forward(Batch batch) {
        ops.embed(decoder.embedding(), x); // x [rows x dim]
        Act added = null; // what the block before left for the next norm to add
        Norm post = null; // the norm that it goes through first, where the family has one
        for (int layer = 0; layer < layers.size(); layer++) {
            AttentionBlock a = decoder.layers().get(layer).attention();
            AttentionActs t = layers.get(layer).attention;
            if (a != null && t != null) {
                ops.addNorm(x, added, post, a.norm(), false, t.in);
                ops.qkv(t.in, a.qkv(), a.headNorm(), a.rope(), kv, layer, t.q, t.k, t.v); // q [rows x heads*headSize]; k, v to the cache
                ops.attend(t.q, kv, layer, a.heads(), t.mixed); // [rows x heads*headSize]
                ops.linear(t.mixed, a.output(), delta); // [rows x dim]
                added = delta;
                post = a.post();
            }
            FeedForward f = decoder.layers().get(layer).ffn();
            FfnActs u = layers.get(layer).ffn;
            if (f != null && u != null) {
                ops.addNorm(x, added, post, f.norm(), false, u.in);
                ops.ffn(u.in, f.ffn(), u.gate, u.up, u.hidden, delta); // [rows x dim]
                added = delta;
                post = f.post();
            }
        }
        ops.addNorm(x, added, post, decoder.norm(), false, normed);
        if (batch.logitRows() == 0) return;
        ops.logits(normed, decoder.output(), decoder.spec().logitCap(), logits); // [logitRows x vocabulary]
        ops.topK(logits, 1, best);
    }

    public Limits limits() {
        return room.limits();
    }

    /** Bytes of the operands. */
    public long bytes() {
        return room.bytes();
    }

    /** Scores of the rows of the last step that asked, {@code [logitRows x vocabulary]}, row after row. */
    public float[] logits() {
        return ops.read(logits);
    }

    /** The best token of each row that asked. */
    public int[] best() {
        return ops.read(best);
    }

    /** Frees the operands; idempotent. */
    @Override
    public void close() {
        room.close();
    }
}
