package dev.lacuna.kernels.cpu;

/** The largest values in falling order as {@link Float#compare} has it, ties to the smaller index. */
final class Best {
    private Best() {}

    static void of(Kernels kernels, float[] v, int n, int[] id, int at, int k) {
        int found = 0;
        for (int i = 0; i < n; i++) {
            if (found == k) {
                float least = v[id[at + k - 1]];
                // zeros of either sign are equal to the loop, not to the order
                i = kernels.above(v, i, n, least == 0 ? -Float.MIN_VALUE : least);
                if (i == n) return;
                if (Float.compare(v[i], least) <= 0) continue;
            }
            int to = found == k ? k - 1 : found++;
            while (to > 0 && Float.compare(v[i], v[id[at + to - 1]]) > 0) {
                id[at + to] = id[at + to - 1];
                to--;
            }
            id[at + to] = i;
        }
    }
}
