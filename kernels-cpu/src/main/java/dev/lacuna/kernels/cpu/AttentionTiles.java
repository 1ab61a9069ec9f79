package dev.lacuna.kernels.cpu;

import dev.lacuna.ops.Attention;
import dev.lacuna.ops.Batch;

/** How attention is cut into parts: tiles of query rows of one sequence times groups of query heads that read one key/value head. */
final class AttentionTiles {
    /** Query rows of a tile. */
    private static final int ROWS = 16;

    /** First row of each tile, and the end of the last. */
    int[] rows = new int[0];
    int count;
    /** Query heads, group after group. */
    int[] heads = new int[0];
    /** Query heads of group g are {@code heads[groups[g]] to heads[groups[g + 1]]}. */
    int[] groups = new int[0];
    int groupCount;

    /** Cuts and returns the number of parts. Heads are single where groups would leave threads without work. */
    int cut(Batch b, Attention a, int kvHeads, int threads) {
        if (rows.length < b.rows() + 1) rows = new int[b.rows() + 1];
        count = 0;
        for (int r = 0; r < b.rows(); r++) {
            if (count == 0 || r - rows[count - 1] == ROWS || b.seq(r) != b.seq(r - 1)) rows[count++] = r;
        }
        rows[count] = b.rows();
        if (heads.length < a.heads()) {
            heads = new int[a.heads()];
            groups = new int[a.heads() + 1];
        }
        boolean single = count * kvHeads < threads;
        groupCount = 0;
        int n = 0;
        for (int kv = 0; kv < kvHeads; kv++) {
            int begin = n;
            for (int h = 0; h < a.heads(); h++) {
                if (a.kvOf()[h] != kv) continue;
                if (single || n == begin) groups[groupCount++] = n;
                heads[n++] = h;
            }
        }
        groups[groupCount] = n;
        return count * groupCount;
    }

    /** The most queries of a part: no tile has more rows, no group more heads. */
    int queries() {
        int most = 0;
        for (int g = 0; g < groupCount; g++) most = Math.max(most, groups[g + 1] - groups[g]);
        return Math.min(ROWS, rows[count]) * most;
    }
}
