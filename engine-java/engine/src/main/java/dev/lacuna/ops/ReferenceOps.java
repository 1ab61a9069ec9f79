package dev.lacuna.ops;

import dev.lacuna.tensor.Codec;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Every operation as it is defined, in double precision: the oracle of the tests. Sums run in index order, so that no result depends on threads or on
 * how rows are batched.
 */
final class ReferenceOps implements Ops {
    private final int threads;
    private final List<Decision> decisions = new ArrayList<>();
    private @Nullable Batch batch;

    ReferenceOps(int threads) {
        this.threads = threads;
    }

    private record Placed(Tensor tensor, InputPolicy policy) implements Weight {
        @Override
        public int rows() {
            return tensor.rows();
        }

        @Override
        public int cols() {
            return tensor.cols();
        }

        @Override
        public Format format() {
            return tensor.format();
        }

        @Override
        public long bytes() {
            return 0;
        }

        void decode(int row, float[] to) {
            Codec.of(tensor.format()).decode(tensor.data(), tensor.offset(row), to, 0, tensor.cols());
        }
    }

    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Floats(float[] v) implements Values {
        @Override
        public int size() {
            return v.length;
        }
    }

    /** What was packed is kept unpacked: {@code [rows x cols]} values that the packing can represent. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Matrix(int cols, InputPolicy policy, double[] v) implements Act {}

    private static final class Scores implements Logits {
        final int vocabulary;
        final float[] v;
        int rows;

        Scores(int rows, int vocabulary) {
            this.vocabulary = vocabulary;
            v = new float[Math.multiplyExact(rows, vocabulary)];
        }

        @Override
        public int vocabulary() {
            return vocabulary;
        }
    }

    private static final class Best implements TopK {
        final int k;
        final int[] id;
        int rows;

        Best(int rows, int k) {
            this.k = k;
            id = new int[Math.multiplyExact(rows, k)];
        }

        @Override
        public int k() {
            return k;
        }
    }

    private static final class Chosen implements RowSet {
        final int capacity;
        int[] rows = {};

        Chosen(int capacity) {
            this.capacity = capacity;
        }

        @Override
        public int capacity() {
            return capacity;
        }
    }

    private record Room(Limits limits) implements Workspace {
        @Override
        public Act act(int cols, InputPolicy policy) {
            return new Matrix(cols, policy, new double[Math.multiplyExact(limits.rows(), cols)]);
        }

        @Override
        public Logits logits(int vocabulary) {
            return new Scores(limits.logitRows(), vocabulary);
        }

        @Override
        public TopK topK(int k) {
            return new Best(limits.logitRows(), k);
        }

        @Override
        public RowSet rowSet(int capacity) {
            return new Chosen(capacity);
        }

        @Override
        public long bytes() {
            return 0;
        }

        @Override
        public void close() {
            // the arrays belong to the heap
        }
    }

    @Override
    public List<Weight> place(List<Tensor> tensors, InputPolicy policy, Set<Use> uses) {
        tensors.forEach(t -> decisions.add(new Decision(uses.toString(), t.format() + " x " + policy, "reference", "asked for")));
        return tensors.stream().<Weight>map(t -> new Placed(t, policy)).toList();
    }

    @Override
    public List<Format> gathers() {
        return Format.ALL;
    }

    @Override
    public Values values(float[] v) {
        return new Floats(v.clone());
    }

    @Override
    public KvPool kv(KvSpec spec, int blocks) {
        return new ReferenceKvPool(spec, blocks);
    }

    @Override
    public Workspace workspace(Limits max) {
        return new Room(max);
    }

    @Override
    public List<Decision> decisions() {
        return decisions.stream().distinct().toList();
    }

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

    /** Calls {@code body} for 0 to n - 1; each call writes results of its own. */
    private void each(int n, IntConsumer body) {
        IntStream all = IntStream.range(0, n);
        (threads == 1 ? all : all.parallel()).forEach(body);
    }

    // ---- primitives

    @Override
    public void embed(Embedding e, Act x) {
        Placed w = (Placed) e.table();
        Placed learned = (Placed) e.positions();
        Batch b = batch();
        float[] row = new float[w.cols()];
        double[] out = new double[w.cols()];
        for (int r = 0; r < b.rows(); r++) {
            w.decode(b.id(r), row);
            for (int c = 0; c < row.length; c++) out[c] = (double) e.scale() * row[c];
            if (learned != null) {
                learned.decode(e.offset() + b.pos(r), row);
                for (int c = 0; c < row.length; c++) out[c] += row[c];
            }
            pack(out, (Matrix) x, r, b.rows());
        }
    }

    @Override
    public void addNorm(Act residual, @Nullable Act delta, @Nullable Norm post, @Nullable Norm norm, boolean keepNormed,
            @Nullable Act out) {
        Matrix res = (Matrix) residual;
        Matrix del = (Matrix) delta;
        int dim = res.cols;
        int rows = batch().rows();
        for (int r = 0; r < rows; r++) {
            double[] x = Arrays.copyOfRange(res.v, r * dim, (r + 1) * dim);
            if (del != null) {
                double[] d = Arrays.copyOfRange(del.v, r * dim, (r + 1) * dim);
                if (post != null) d = normed(d, 0, dim, post);
                for (int c = 0; c < dim; c++) x[c] += d[c];
            }
            double[] y = norm == null ? x : normed(x, 0, dim, norm);
            System.arraycopy(keepNormed ? y : x, 0, res.v, r * dim, dim);
            if (out != null) pack(y, (Matrix) out, r, rows);
        }
    }

    private static double[] normed(double[] x, int from, int n, Norm norm) {
        float[] gain = ((Floats) norm.gain()).v;
        Floats bias = (Floats) norm.bias();
        double mean = 0;
        if (norm.kind() == Norm.Kind.LAYER) {
            for (int i = 0; i < n; i++) mean += x[from + i] / n;
        }
        double square = 0;
        for (int i = 0; i < n; i++) square += (x[from + i] - mean) * (x[from + i] - mean);
        double scale = 1 / Math.sqrt(square / n + norm.eps());
        double[] y = new double[n];
        for (int i = 0; i < n; i++) y[i] = (x[from + i] - mean) * scale * gain[i] + (bias == null ? 0 : bias.v[i]);
        return y;
    }

    @Override
    public void linear(Act x, Linear w, Act y) {
        Matrix in = (Matrix) x;
        Matrix out = (Matrix) y;
        Batch b = batch();
        int[] rows = IntStream.range(0, b.rows()).toArray();
        product(in, rows, w, (t, o, v) -> out.v[t * out.cols + o] = v);
    }

    @Override
    public void logits(Act x, Linear w, float softCap, Logits out) {
        Scores l = (Scores) out;
        Batch b = batch();
        int[] rows = IntStream.range(0, b.logitRows()).map(b::logitRow).toArray();
        l.rows = rows.length;
        product((Matrix) x, rows, w, (t, o, v) -> l.v[t * l.vocabulary + o] = (float) capped(v, softCap));
    }

    private static double capped(double v, float cap) {
        return cap == 0 ? v : cap * Math.tanh(v / cap);
    }

    private interface Sink {
        void put(int row, int col, double v);
    }

    /** Products of the given rows; the activation is transposed so that the inner loop runs over rows and each sum keeps the order of its columns. */
    private void product(Matrix x, int[] rows, Linear w, Sink out) {
        Placed weight = (Placed) w.weight();
        Floats bias = (Floats) w.bias();
        int cols = x.cols;
        int n = rows.length;
        double[] transposed = new double[cols * n];
        for (int t = 0; t < n; t++) {
            for (int c = 0; c < cols; c++) transposed[c * n + t] = x.v[rows[t] * cols + c];
        }
        int chunk = 16;
        // of the step's rows, as the activation was packed, whichever of them ask
        boolean brain = x.policy.of(batch().rows()) instanceof Input.Bf16;
        each((weight.rows() + chunk - 1) / chunk, k -> {
            float[] row = new float[cols];
            double[] sum = new double[n];
            for (int o = k * chunk; o < Math.min(weight.rows(), (k + 1) * chunk); o++) {
                weight.decode(o, row);
                if (brain) for (int c = 0; c < cols; c++) row[c] = Input.Bf16.round(row[c]);
                Arrays.fill(sum, 0);
                for (int c = 0; c < cols; c++) {
                    double v = row[c];
                    int at = c * n;
                    for (int t = 0; t < n; t++) sum[t] += v * transposed[at + t];
                }
                for (int t = 0; t < n; t++) out.put(t, o, sum[t] + (bias == null ? 0 : bias.v[o]));
            }
        });
    }

    @Override
    public void ropeAppend(Act q, Act k, Act v, @Nullable HeadNorm norm, Rope rope, KvPool kv, int layer) {
        Matrix qm = (Matrix) q;
        Matrix km = (Matrix) k;
        Matrix vm = (Matrix) v;
        ReferenceKvPool pool = (ReferenceKvPool) kv;
        Batch b = batch();
        for (int r = 0; r < b.rows(); r++) {
            rotate(qm, r, b.pos(r), rope, norm == null ? null : Norm.rms(norm.q(), norm.eps()));
            rotate(km, r, b.pos(r), rope, norm == null ? null : Norm.rms(norm.k(), norm.eps()));
            pool.append(layer, b.block(b.seq(r), b.pos(r)), b.pos(r) % KvSpec.BLOCK, km.v, r * km.cols, vm.v, r * vm.cols);
        }
    }

    private static void rotate(Matrix m, int row, int position, Rope rope, @Nullable Norm norm) {
        float[] table = ((Floats) rope.table()).v;
        int half = rope.dims() / 2;
        for (int h = row * m.cols; h < (row + 1) * m.cols; h += rope.headSize()) {
            if (norm != null) System.arraycopy(normed(m.v, h, rope.headSize(), norm), 0, m.v, h, rope.headSize());
            for (int i = 0; i < half; i++) {
                int first = h + (rope.interleaved() ? 2 * i : i);
                int second = h + (rope.interleaved() ? 2 * i + 1 : i + half);
                double cos = table[position * rope.dims() + 2 * i];
                double sin = table[position * rope.dims() + 2 * i + 1];
                double a = m.v[first];
                double c = m.v[second];
                m.v[first] = a * cos - c * sin;
                m.v[second] = a * sin + c * cos;
            }
        }
    }

    @Override
    public void attend(Act q, KvPool kv, int layer, Attention a, Act out) {
        Matrix qm = (Matrix) q;
        ReferenceKvPool pool = (ReferenceKvPool) kv;
        Batch b = batch();
        int size = a.headSize();
        each(b.rows(), r -> {
            double[] mixed = new double[a.heads() * size];
            int last = b.pos(r);
            int first = a.window() == 0 ? 0 : Math.max(0, last - a.window() + 1);
            double[] score = new double[last - first + 1];
            double[] cached = new double[size];
            for (int h = 0; h < a.heads() && b.seq(r) >= 0; h++) {
                int kvHead = a.kvOf()[h];
                double max = Double.NEGATIVE_INFINITY;
                for (int p = first; p <= last; p++) {
                    pool.key(layer, b.block(b.seq(r), p), p % KvSpec.BLOCK, kvHead, cached);
                    double dot = 0;
                    for (int i = 0; i < size; i++) dot += qm.v[r * qm.cols + h * size + i] * cached[i];
                    score[p - first] = capped(dot * a.scale(), a.softCap());
                    max = Math.max(max, score[p - first]);
                }
                double total = 0;
                for (int p = first; p <= last; p++) {
                    score[p - first] = Math.exp(score[p - first] - max);
                    total += score[p - first];
                }
                for (int p = first; p <= last; p++) {
                    pool.value(layer, b.block(b.seq(r), p), p % KvSpec.BLOCK, kvHead, cached);
                    for (int i = 0; i < size; i++) mixed[h * size + i] += score[p - first] / total * cached[i];
                }
            }
            pack(mixed, (Matrix) out, r, b.rows());
        });
    }

    @Override
    public void activate(Activation f, Act gate, @Nullable Act up, Act out) {
        Matrix g = (Matrix) gate;
        Matrix u = (Matrix) up;
        int rows = batch().rows();
        double[] y = new double[g.cols];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < g.cols; c++) {
                y[c] = activated(f, g.v[r * g.cols + c]) * (u == null ? 1 : u.v[r * g.cols + c]);
            }
            pack(y, (Matrix) out, r, rows);
        }
    }

    @Override
    public void select(Act scores, float threshold, RowSet out) {
        Matrix s = (Matrix) scores;
        Batch b = batch();
        int[] owned = IntStream.range(0, b.rows()).filter(r -> b.seq(r) >= 0).toArray();
        ((Chosen) out).rows = IntStream.range(0, s.cols)
                .filter(j -> Arrays.stream(owned).anyMatch(r -> (float) s.v[r * s.cols + j] > threshold)).toArray();
    }

    @Override
    public void rows(Act x, Linear w, RowSet active, Act compact) {
        Matrix in = (Matrix) x;
        Matrix out = (Matrix) compact;
        Placed weight = (Placed) w.weight();
        Floats bias = (Floats) w.bias();
        int[] chosen = ((Chosen) active).rows;
        int rows = batch().rows();
        Arrays.fill(out.v, 0, rows * out.cols, 0);
        each(chosen.length, j -> {
            float[] row = new float[in.cols];
            weight.decode(chosen[j], row);
            for (int r = 0; r < rows; r++) {
                double sum = 0;
                for (int c = 0; c < in.cols; c++) sum += row[c] * in.v[r * in.cols + c];
                out.v[r * out.cols + j] = sum + (bias == null ? 0 : bias.v[chosen[j]]);
            }
        });
    }

    @Override
    public void columns(Act compact, Linear wT, RowSet active, Act y) {
        Matrix in = (Matrix) compact;
        Matrix out = (Matrix) y;
        Placed weight = (Placed) wT.weight();
        Floats bias = (Floats) wT.bias();
        int[] chosen = ((Chosen) active).rows;
        int rows = batch().rows();
        for (int i = 0; i < rows * out.cols; i++) out.v[i] = bias == null ? 0 : bias.v[i % out.cols];
        float[] row = new float[out.cols];
        for (int j = 0; j < chosen.length; j++) {
            weight.decode(chosen[j], row);
            for (int r = 0; r < rows; r++) {
                for (int c = 0; c < out.cols; c++) out.v[r * out.cols + c] += in.v[r * in.cols + j] * row[c];
            }
        }
    }

    private static double activated(Activation f, double x) {
        return switch (f) {
            case SILU -> x / (1 + Math.exp(-x));
            case GELU_TANH -> x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
            case GELU_ERF -> x / 2 * (1 + erf(x / Math.sqrt(2)));
            case RELU -> Math.max(x, 0);
        };
    }

    /** The error function as a sum of terms of one sign (Abramowitz and Stegun 7.1.6). */
    private static double erf(double x) {
        if (Math.abs(x) > 6) return Math.signum(x); // the difference is less than a double tells
        double term = 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * x;
        double sum = term;
        for (int n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
            term *= 2 * x * x / (2 * n + 1);
            sum += term;
        }
        return sum;
    }

    @Override
    public void topK(Logits l, int k, TopK out) {
        Scores s = (Scores) l;
        Best best = (Best) out;
        best.rows = batch().logitRows();
        for (int i = 0; i < best.rows; i++) {
            int at = i * s.vocabulary;
            int[] order = IntStream.range(0, s.vocabulary).boxed().sorted((p, q) -> {
                int byScore = Float.compare(s.v[at + q], s.v[at + p]);
                return byScore != 0 ? byScore : Integer.compare(p, q);
            }).limit(k).mapToInt(Integer::intValue).toArray();
            System.arraycopy(order, 0, best.id, i * best.k, k);
        }
    }

    // ---- packing, and what is read back

    /** Writes one row with what the packing of the step's row class leaves of it. */
    private static void pack(double[] x, Matrix to, int row, int rows) {
        int at = row * to.cols;
        switch (to.policy.of(rows)) {
            case Input.F32 f -> System.arraycopy(x, 0, to.v, at, to.cols);
            case Input.Bf16 bf16 -> {
                for (int i = 0; i < to.cols; i++) to.v[at + i] = Input.Bf16.round((float) x[i]);
            }
            case Input.I8 i8 -> {
                int block = i8.blockOf(to.cols);
                for (int from = 0; from < to.cols; from += block) {
                    int n = Math.min(block, to.cols - from);
                    float max = 0;
                    for (int i = 0; i < n; i++) max = Math.max(max, Math.abs((float) x[from + i]));
                    float scale = max / 127;
                    float inverse = scale < Float.MIN_NORMAL ? 0 : 1 / scale;
                    for (int i = 0; i < n; i++) to.v[at + from + i] = (double) (int) Math.rint((float) x[from + i] * inverse) * scale;
                }
            }
        }
    }

    @Override
    public void write(Act a, float[] v) {
        Matrix m = (Matrix) a;
        int rows = v.length / m.cols;
        double[] x = new double[m.cols];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < m.cols; c++) x[c] = v[r * m.cols + c];
            pack(x, m, r, rows);
        }
    }

    @Override
    public void write(RowSet set, int[] rows) {
        ((Chosen) set).rows = rows.clone();
    }

    @Override
    public int[] read(RowSet set) {
        return ((Chosen) set).rows.clone();
    }

    @Override
    public float[] read(Act a, int rows) {
        Matrix m = (Matrix) a;
        float[] out = new float[rows * m.cols];
        for (int i = 0; i < out.length; i++) out[i] = (float) m.v[i];
        return out;
    }

    @Override
    public float[] read(Logits l) {
        Scores s = (Scores) l;
        return Arrays.copyOf(s.v, s.rows * s.vocabulary);
    }

    @Override
    public int[] read(TopK t) {
        Best best = (Best) t;
        return Arrays.copyOf(best.id, best.rows * best.k);
    }

    @Override
    public void close() {
        // everything belongs to the heap
    }
}
