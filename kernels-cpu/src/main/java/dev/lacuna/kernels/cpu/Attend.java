package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Attention;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.KvSpec;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Softmax attention, block after block with a running maximum (Milakov and Gimelshein, 2018). A part is a tile of query rows of one sequence with the
 * query heads that read one key/value head, so that a block is unpacked once for all of them. What a row computes does not depend on its tile.
 */
final class Attend {
    private static final int BLOCK = KvSpec.BLOCK;

    private final Kernels kernels;
    private final AttentionTiles tiles = new AttentionTiles();

    Attend(Kernels kernels) {
        this.kernels = kernels;
    }

    /** Cuts a step into parts and returns their number. */
    int parts(Batch b, Attention a, int kvHeads, int threads) {
        return tiles.cut(b, a, kvHeads, threads);
    }

    /** Computes part {@code part} and leaves it in {@code out}'s floats, which are not packed yet. */
    void part(int part, AttentionScratch s, Batch b, CpuAct q, CpuKvPool pool, int layer, Attention a, CpuAct out) {
        int tile = part / tiles.groupCount;
        int row = tiles.rows[tile];
        int rows = tiles.rows[tile + 1] - row;
        int[] heads = tiles.heads;
        int head = tiles.groups[part % tiles.groupCount];
        int group = tiles.groups[part % tiles.groupCount + 1] - head;
        int size = a.headSize();
        int stride = Kernels.padded(size);
        int n = rows * group;
        s.reserve(n, size);
        Arrays.fill(s.mixed, 0, n * stride, 0);
        if (b.seq(row) >= 0) {
            for (int i = 0; i < n; i++) {
                long at = (long) (row + i / group) * q.stride() + (long) heads[head + i % group] * size;
                MemorySegment.copy(q.floats(), ValueLayout.JAVA_FLOAT, at * Float.BYTES, s.q, i * size, size);
            }
            attend(s, b, row, n, group, pool, layer, a.kvOf()[heads[head]], a);
        }
        for (int i = 0; i < n; i++) {
            long at = (long) (row + i / group) * out.stride() + (long) heads[head + i % group] * size;
            MemorySegment.copy(s.mixed, i * stride, out.floats(), ValueLayout.JAVA_FLOAT, at * Float.BYTES, size);
        }
    }

    private static int begin(int position, Attention a) {
        return a.window() == 0 ? 0 : Math.max(0, position - a.window() + 1);
    }

    private void attend(AttentionScratch s, Batch b, int row, int n, int group, CpuKvPool pool, int layer, int kvHead, Attention a) {
        int size = a.headSize();
        int stride = Kernels.padded(size);
        Arrays.fill(s.max, 0, n, Float.NEGATIVE_INFINITY);
        Arrays.fill(s.total, 0, n, 0);
        int least = Integer.MAX_VALUE;
        int most = 0;
        for (int r = row; r < row + n / group; r++) {
            least = Math.min(least, begin(b.pos(r), a));
            most = Math.max(most, b.pos(r));
        }
        for (int block = least / BLOCK; block <= most / BLOCK; block++) {
            boolean same = true;
            for (int i = 0; i < n; i++) {
                int position = b.pos(row + i / group);
                s.from[i] = Math.clamp(begin(position, a) - block * BLOCK, 0, BLOCK);
                s.to[i] = Math.clamp(position + 1 - block * BLOCK, 0, BLOCK);
                same &= s.from[i] == s.from[0] && s.to[i] == s.to[0];
            }
            int id = b.block(b.seq(row), block * BLOCK);
            pool.keys(layer, id, kvHead, s.keys, s.keyScales);
            pool.values(layer, id, kvHead, s.values, s.valueScales);
            Arrays.fill(s.scores, 0, n * BLOCK, 0);
            kernels.mix(s.q, 0, size, n, 0, size, s.keys, BLOCK, s.scores, 0, BLOCK);
            for (int i = 0; i < n; i++) {
                if (s.from[i] < s.to[i]) soften(s, i, stride, a, pool.scaled());
            }
            if (same) {
                kernels.mix(s.scores, 0, BLOCK, n, s.from[0], s.to[0], s.values, stride, s.mixed, 0, stride);
            } else {
                // values past a row's own position may be anything, and 0 times anything is not always 0
                for (int i = 0; i < n; i++) {
                    if (s.from[i] < s.to[i]) {
                        kernels.mix(s.scores, i * BLOCK, BLOCK, 1, s.from[i], s.to[i], s.values, stride, s.mixed, i * stride, stride);
                    }
                }
            }
        }
        for (int i = 0; i < n; i++) kernels.scale(s.mixed, i * stride, stride, (float) (1 / s.total[i]));
    }

    /** Turns a query's scores into weights relative to the largest score so far, to which its sums are brought. */
    private void soften(AttentionScratch s, int i, int stride, Attention a, boolean scaled) {
        int at = i * BLOCK;
        float most = kernels.scores(s.scores, at, s.from[i], s.to[i], a.scale(), scaled ? s.keyScales : null, a.softCap());
        if (most > s.max[i]) {
            float factor = (float) Math.exp(s.max[i] - most);
            s.total[i] *= factor;
            kernels.scale(s.mixed, i * stride, stride, factor);
            s.max[i] = most;
        }
        s.total[i] += kernels.exps(s.scores, at, s.max[i]);
        if (scaled) kernels.scale(s.scores, at, BLOCK, s.valueScales);
    }
}
