package dev.lacuna.ops;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The suite finds what it is there for: faults that kernels are known to have are planted, and the case that must see each one fails. */
class ConformanceCatchesFaultsTest {
    /** A case of the suite. */
    private interface Case {
        void play(OpsConformance suite);
    }

    private static final OpsConformance.Attends GQA = new OpsConformance.Attends(KvType.F32, new int[]{0, 0, 1}, 2, 26, 0, 0, 0.2f);

    private static final class Suite extends OpsConformance {
        private final Supplier<Ops> ops;

        Suite(Supplier<Ops> ops) {
            this.ops = ops;
        }

        @Override
        protected Ops open(int threads) {
            return ops.get();
        }
    }

    private static OpsConformance suite(Supplier<Ops> ops) {
        return new Suite(ops);
    }

    /** The case passes on the reference and fails, with those words, on the faulty kernels. */
    private static void catches(Supplier<Ops> faulty, Case c, String words) {
        assertDoesNotThrow(() -> c.play(suite(() -> new ReferenceOps(1))));
        AssertionError e = assertThrows(AssertionError.class, () -> c.play(suite(faulty)));
        assertTrue(e.getMessage().contains(words), e.getMessage());
    }

    /** The reference, each call in a step of its own, so that a fault may change the batch between two of them. */
    private static class Faulty extends PrimitivesOnly {
        @Nullable
        Batch batch;

        Faulty() {
            super(new ReferenceOps(1));
        }

        Batch current() {
            Batch b = batch;
            if (b == null) throw new IllegalStateException("outside run()");
            return b;
        }

        @Override
        public void run(Step key, Batch b, Runnable body) {
            batch = b;
            super.run(key, b, body);
        }
    }

    @Test
    void aWrongLane() {
        catches(() -> new Faulty() {
            @Override
            public void linear(Act x, Linear w, Act y) {
                super.linear(x, w, y);
                float[] v = read(y, current().rows());
                // one output of each row comes from the lane beside it
                for (int r = 0; r < current().rows(); r++) v[r * y.cols() + 4] = v[r * y.cols() + 5];
                write(y, v);
            }
        }, c -> c.linear(Format.F32, Input.F32, 33, 8, 31), "y: NMSE");
    }

    @Test
    void aTailThatIsLeftOut() {
        catches(() -> new Faulty() {
            @Override
            public void linear(Act x, Linear w, Act y) {
                float[] v = read(x, current().rows());
                float[] cut = v.clone();
                for (int r = 0; r < current().rows(); r++) cut[(r + 1) * x.cols() - 1] = 0;
                write(x, cut);
                super.linear(x, w, y);
                write(x, v);
            }
        }, c -> c.linear(Format.F32, Input.F32, 31, 3, 33), "y: NMSE");
    }

    @Test
    void anOutputThatIsNotWritten() {
        catches(() -> new Faulty() {
            @Override
            public void linear(Act x, Linear w, Act y) {
                float[] before = read(y, 1);
                super.linear(x, w, y);
                float[] v = read(y, current().rows());
                v[y.cols() - 1] = before[y.cols() - 1];
                write(y, v);
            }
        }, c -> c.linear(Format.F32, Input.F32, 33, 8, 31), "is NaN, reference");
    }

    @Test
    void aWriteBeyondTheRows() {
        catches(() -> new Faulty() {
            @Override
            public void linear(Act x, Linear w, Act y) {
                super.linear(x, w, y);
                int rows = current().rows();
                float[] v = Arrays.copyOf(read(y, rows), (rows + 1) * y.cols());
                write(y, v);
            }
        }, c -> c.linear(Format.F32, Input.F32, 33, 8, 31), "row 8 of a step of 8 rows was written");
    }

    @Test
    void aWriteIntoTheNeighbour() {
        catches(() -> new Faulty() {
            private final List<Act> acts = new ArrayList<>();

            @Override
            public Workspace workspace(Limits max) {
                Workspace room = super.workspace(max);
                return new Remembering(room, acts);
            }

            @Override
            public void linear(Act x, Linear w, Act y) {
                super.linear(x, w, y);
                Act next = acts.get(acts.indexOf(y) + 1);
                write(next, new float[next.cols()]);
            }
        }, c -> c.linear(Format.F32, Input.F32, 33, 8, 31), "was written");
    }

    private record Remembering(Workspace room, List<Act> acts) implements Workspace {
        @Override
        public Limits limits() {
            return room.limits();
        }

        @Override
        public Act act(int cols, InputPolicy policy) {
            Act act = room.act(cols, policy);
            acts.add(act);
            return act;
        }

        @Override
        public Logits logits(int vocabulary) {
            return room.logits(vocabulary);
        }

        @Override
        public TopK topK(int k) {
            return room.topK(k);
        }

        @Override
        public long bytes() {
            return room.bytes();
        }

        @Override
        public void close() {
            room.close();
        }
    }

    @Test
    void aRoundingThatIsNotNearest() {
        catches(() -> new Faulty() {
            @Override
            public void write(Act a, float[] v) {
                if (a.policy().equals(InputPolicy.I8)) {
                    for (int i = 0; i < v.length; i++) v[i] *= 0.99f;
                }
                super.write(a, v);
            }
        }, c -> c.writeThenRead(Input.I8), "not exactly");
    }

    @Test
    void anEightBitSumThatSaturates() {
        catches(() -> new Faulty() {
            @Override
            public void linear(Act x, Linear w, Act y) {
                super.linear(x, w, y);
                float[] v = read(y, current().rows());
                for (int i = 0; i < v.length; i++) v[i] = Math.clamp(v[i], Short.MIN_VALUE, Short.MAX_VALUE);
                write(y, v);
            }
        }, c -> c.wholeNumbersAreExact(Format.Q8_0, Input.I8), "not exactly");
    }

    @Test
    void aStaleBatchInAReplay() {
        catches(() -> new FakeDevice(1, true) {
            private boolean uploaded;

            @Override
            void upload(Batch batch) {
                // the first batch of a shape is baked in; the poisoning step has another shape
                if (!uploaded || batch.rows() != 10) super.upload(batch);
                uploaded = batch.rows() == 10;
            }
        }, c -> c.oneKeyAndOtherBatches(Format.F32, Input.F32, true), "of step 1");
    }

    @Test
    void aGraphOfClosedOperands() {
        assertDoesNotThrow(() -> suite(() -> new FakeDevice(1, false)).closedOperandsAreForgotten());
        Supplier<Ops> forgetful = () -> new FakeDevice(1, false) {
            private @Nullable Runnable first;

            @Override
            public void run(Step key, Batch batch, Runnable body) {
                if (first == null) first = body;
                super.run(key, batch, first);
            }
        };
        assertThrows(IllegalStateException.class, () -> suite(forgetful).closedOperandsAreForgotten());
    }

    @Test
    void aCacheSlotOffByOne() {
        catches(() -> new Faulty() {
            @Override
            public void run(Step key, Batch b, Runnable body) {
                batch = b;
                body.run();
            }

            @Override
            public void ropeAppend(Act q, Act k, Act v, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer) {
                Batch b = current();
                Batch shifted = b.kvBlocks() == 12 ? b : shifted(b);
                ops.run(Step.of(0, shifted), shifted, () -> super.ropeAppend(q, k, v, norm, rope, kv, layer));
            }

            @Override
            public void attend(Act q, KvPool kv, int layer, Attention a, Act out) {
                ops.run(Step.of(0, current()), current(), () -> super.attend(q, kv, layer, a, out));
            }
        }, c -> c.attend(GQA), "reference");
    }

    private static Batch shifted(Batch b) {
        Batch to = new Batch(b.limits());
        to.clear(b.kvBlocks());
        int sequence = -1;
        for (int r = 0; r < b.rows(); r++) {
            if (b.seq(r) < 0) {
                to.addPadding();
                continue;
            }
            while (sequence < b.seq(r)) {
                sequence++;
                int[] blocks = new int[b.kvBlocks()];
                for (int i = 0; i < blocks.length; i++) blocks[i] = b.block(sequence, i * KvSpec.BLOCK);
                to.addSequence(blocks, blocks.length);
            }
            to.addRow(b.id(r), b.pos(r) + 1, false);
        }
        return to;
    }

    /** Attention in single precision as one might write it in a hurry. */
    private static class Hasty extends Faulty {
        final boolean subtractMax;
        final int beyond;

        Hasty(boolean subtractMax, int beyond) {
            this.subtractMax = subtractMax;
            this.beyond = beyond;
        }

        @Override
        public void attend(Act q, KvPool kv, int layer, Attention a, Act out) {
            Batch b = current();
            int size = a.headSize();
            int kvHeads = kv.spec().kvHeads()[layer];
            float[] qs = read(q, b.rows());
            float[] mixed = new float[b.rows() * out.cols()];
            for (int r = 0; r < b.rows(); r++) {
                for (int h = 0; h < a.heads() && b.seq(r) >= 0; h++) {
                    int at = r * out.cols() + h * size;
                    int first = a.window() == 0 ? 0 : Math.max(0, b.pos(r) - a.window() + 1);
                    float[] score = new float[b.pos(r) + 1];
                    float max = Float.NEGATIVE_INFINITY;
                    for (int p = first; p < score.length; p++) {
                        float[] keys = kv.readKeys(layer, b.block(b.seq(r), p));
                        for (int i = 0; i < size; i++) {
                            score[p] += qs[at + i] * keys[(p % KvSpec.BLOCK * kvHeads + a.kvOf()[h]) * size + i];
                        }
                        score[p] *= a.scale();
                        max = Math.max(max, score[p]);
                    }
                    float total = 0;
                    for (int p = first; p < score.length; p++) total += score[p] = (float) Math.exp(score[p] - (subtractMax ? max : 0));
                    for (int p = first; p < score.length - beyond; p++) {
                        float[] values = kv.readValues(layer, b.block(b.seq(r), p));
                        for (int i = 0; i < size; i++) {
                            mixed[at + i] += score[p] / total * values[(p % KvSpec.BLOCK * kvHeads + a.kvOf()[h]) * size + i];
                        }
                    }
                }
            }
            write(out, mixed);
        }
    }

    @Test
    void aSoftmaxWithoutItsMaximum() {
        assertDoesNotThrow(() -> suite(() -> new Hasty(true, 0)).attendWithLargeScores(KvType.F32));
        catches(() -> new Hasty(false, 0), c -> c.attendWithLargeScores(KvType.F32), "is NaN, reference");
    }

    @Test
    void aMaskOffByOne() {
        assertDoesNotThrow(() -> suite(() -> new Hasty(true, 0)).attend(GQA));
        catches(() -> new Hasty(true, 1), c -> c.attend(GQA), "prefill: NMSE");
    }

    @Test
    void valuesThatStayOnTheHost() {
        catches(() -> new Faulty() {
            private final List<float[]> hosts = new ArrayList<>();
            private final List<Values> copies = new ArrayList<>();

            @Override
            public Values values(float[] v) {
                Values copy = super.values(v);
                hosts.add(v);
                copies.add(copy);
                return copy;
            }

            @Override
            public void addNorm(Act residual, @Nullable Act delta, @Nullable Norm post, @Nullable Norm norm, boolean keepNormed,
                    @Nullable Act out) {
                Norm late = norm == null ? null : Norm.rms(super.values(hosts.get(copies.indexOf(norm.gain()))), norm.eps());
                super.addNorm(residual, delta, post, late, keepNormed, out);
            }
        }, c -> c.addNorm(true, false, Norm.Kind.RMS, false), "is NaN, reference");
    }

    @Test
    void aFusedOperationThatForgetsItsBias() {
        catches(() -> new Faulty() {
            @Override
            public void qkv(Act x, Qkv w, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer, Act q, Act k, Act v) {
                super.qkv(x, new Qkv(new Linear(w.q().weight(), null), w.k(), w.v()), norm, rope, kv, layer, q, k, v);
            }
        }, c -> c.fusedOperationsAreTheirPrimitives(Format.F32, Input.F32, true), "against primitives");
    }

    @Test
    void logitsOfEarlierRows() {
        catches(() -> new Faulty() {
            private int most;

            @Override
            public void logits(Act x, Linear w, float softCap, Logits out) {
                super.logits(x, w, softCap, out);
                most = Math.max(most, current().logitRows());
            }

            @Override
            public float[] read(Logits l) {
                return Arrays.copyOf(super.read(l), most * l.vocabulary());
            }
        }, c -> c.logits(Format.F32, Input.F32), "logits of the rows that asked");
    }

    @Test
    void aSetThatForgetsItsSize() {
        catches(() -> new Faulty() {
            @Override
            public void columns(Act compact, Linear wT, RowSet active, Act y) {
                int[] chosen = ops.read(active);
                int next = chosen.length == 0 ? 0 : chosen[chosen.length - 1] + 1;
                int[] longer = Arrays.copyOf(chosen, chosen.length + 1);
                longer[chosen.length] = next;
                if (next < active.capacity()) ops.write(active, longer);
                super.columns(compact, wT, active, y);
                ops.write(active, chosen);
            }
        }, RowSetConformance::whatIsNotFiniteAndNotChosenStaysOut, "the third weight is past the set");
    }

    @Test
    void aPaddingRowThatChooses() {
        catches(() -> new Faulty() {
            @Override
            public void select(Act scores, float threshold, RowSet out) {
                float[] v = ops.read(scores, current().rows());
                ops.write(out, IntStream.range(0, out.capacity())
                        .filter(j -> IntStream.range(0, current().rows()).anyMatch(r -> v[r * out.capacity() + j] > threshold))
                        .toArray());
            }
        }, c -> c.select(576), "select of 576");
    }

    @Test
    void aWeightThatAnotherOverwrites() {
        catches(() -> new Faulty() {
            @Override
            public List<Weight> place(List<Tensor> tensors, InputPolicy policy, Set<Use> uses) {
                List<Weight> weights = new ArrayList<>(super.place(tensors, policy, uses));
                if (tensors.size() > 1) weights.set(2, super.place(List.of(halved(tensors.get(2))), policy, uses).getFirst());
                return weights;
            }

            private Tensor halved(Tensor t) {
                byte[] bytes = t.data().toArray(ValueLayout.JAVA_BYTE);
                System.arraycopy(bytes, 0, bytes, bytes.length / 2, bytes.length / 2);
                return new Tensor(t.name(), t.format(), t.rows(), t.cols(), MemorySegment.ofArray(bytes));
            }
        }, c -> c.weightsPlacedTogether(Input.F32), "y2: NMSE");
    }
}
