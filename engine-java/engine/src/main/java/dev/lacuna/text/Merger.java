package dev.lacuna.text;

import java.util.Arrays;

/**
 * Byte-pair merging of one word (Sennrich et al., 2016): the pair of lowest rank merges first, the leftmost of equals. Short words scan for the
 * minimum; long ones keep a linked list and a heap of {@code rank << 32 | place}, whose entries are dropped when their pair has changed, so that n
 * symbols take O(n log n). Holds scratch space: one for each call of encode.
 */
final class Merger {
    private static final int SHORT = 48;
    private final MergeTable merges;
    /** The symbols of the word before {@link #merge}, its tokens after it. */
    int[] ids = new int[128];
    private final int[] ranks = new int[SHORT];
    private final int[] targets = new int[SHORT];
    private long steps;

    Merger(MergeTable merges) {
        this.merges = merges;
    }

    void reserve(int symbols) {
        if (ids.length < symbols) {
            ids = new int[symbols];
        }
    }

    /** How many merges were applied and candidates looked at so far. */
    long steps() {
        return steps;
    }

    /** Merges the first n of {@link #ids} in place; returns how many are left. */
    int merge(int n) {
        if (n < 2) {
            return n;
        }
        return n <= SHORT ? mergeShort(n) : mergeLong(n);
    }

    private int mergeShort(int n) {
        for (int i = 0; i + 1 < n; i++) {
            look(i);
        }
        while (n > 1) {
            int best = 0;
            for (int i = 1; i + 1 < n; i++) {
                if (ranks[i] < ranks[best]) {
                    best = i;
                }
            }
            steps += n;
            if (ranks[best] == MergeTable.NONE) {
                break;
            }
            ids[best] = targets[best];
            int tail = n - best - 2;
            System.arraycopy(ids, best + 2, ids, best + 1, tail);
            if (tail > 0) {
                System.arraycopy(ranks, best + 2, ranks, best + 1, tail - 1);
                System.arraycopy(targets, best + 2, targets, best + 1, tail - 1);
            }
            n--;
            if (best > 0) {
                look(best - 1);
            }
            if (best + 1 < n) {
                look(best);
            }
        }
        return n;
    }

    private void look(int i) {
        long merge = merges.merge(ids[i], ids[i + 1]);
        ranks[i] = (int) (merge >>> 32);
        targets[i] = (int) merge;
    }

    private int mergeLong(int n) {
        int[] next = new int[n];
        int[] previous = new int[n];
        int[] rank = new int[n]; // of the pair that begins here; NONE also for symbols that were swallowed
        Heap heap = new Heap(n);
        for (int i = 0; i < n; i++) {
            next[i] = i + 1;
            previous[i] = i - 1;
        }
        Arrays.fill(rank, MergeTable.NONE);
        for (int i = 0; i + 1 < n; i++) {
            look(i, i + 1, rank, heap);
        }
        int left = n;
        while (!heap.isEmpty()) {
            long top = heap.pop();
            steps++;
            int at = (int) top;
            if (rank[at] != top >>> 32) {
                continue;
            }
            int swallowed = next[at];
            ids[at] = (int) merges.merge(ids[at], ids[swallowed]);
            next[at] = next[swallowed];
            rank[swallowed] = MergeTable.NONE;
            left--;
            if (next[at] < n) {
                previous[next[at]] = at;
                look(at, next[at], rank, heap);
            } else {
                rank[at] = MergeTable.NONE;
            }
            if (previous[at] >= 0) {
                look(previous[at], at, rank, heap);
            }
        }
        for (int i = 0, out = 0; i < n; i = next[i]) {
            ids[out++] = ids[i];
        }
        return left;
    }

    private void look(int at, int right, int[] rank, Heap heap) {
        int found = (int) (merges.merge(ids[at], ids[right]) >>> 32);
        rank[at] = found;
        if (found != MergeTable.NONE) {
            heap.push((long) found << 32 | at);
        }
    }

    /** A binary min-heap of longs. */
    private static final class Heap {
        private long[] entries;
        private int size;

        Heap(int capacity) {
            entries = new long[capacity];
        }

        boolean isEmpty() {
            return size == 0;
        }

        void push(long entry) {
            if (size == entries.length) {
                entries = Arrays.copyOf(entries, Math.addExact(size, size >> 1) + 1);
            }
            int at = size++;
            while (at > 0) {
                int parent = at - 1 >>> 1;
                if (entries[parent] <= entry) {
                    break;
                }
                entries[at] = entries[parent];
                at = parent;
            }
            entries[at] = entry;
        }

        long pop() {
            long top = entries[0];
            long last = entries[--size];
            int at = 0;
            for (int child = 1; child < size; child = 2 * at + 1) {
                if (child + 1 < size && entries[child + 1] < entries[child]) {
                    child++;
                }
                if (entries[child] >= last) {
                    break;
                }
                entries[at] = entries[child];
                at = child;
            }
            entries[at] = last;
            return top;
        }
    }
}
