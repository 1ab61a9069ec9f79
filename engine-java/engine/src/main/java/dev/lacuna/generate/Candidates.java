package dev.lacuna.generate;

import java.util.Arrays;

/** Tokens and their logits in falling order, ties to the smaller token. */
record Candidates(long[] packed) {

    /** The best {@code n} of a row. Each is packed as (order-preserving bits of the logit, complement of the token), so that numbers sort as wanted. */
    static Candidates best(float[] logits, int at, int vocabulary, int n) {
        long[] heap = new long[n]; // smallest first: Long.MIN_VALUE until filled
        Arrays.fill(heap, Long.MIN_VALUE);
        for (int i = 0; i < vocabulary; i++) {
            long key = pack(logits[at + i], i);
            if (key > heap[0]) sift(heap, key);
        }
        Arrays.sort(heap);
        for (int i = 0; i < n / 2; i++) {
            long t = heap[i];
            heap[i] = heap[n - 1 - i];
            heap[n - 1 - i] = t;
        }
        return new Candidates(heap);
    }

    /** The {@code count} tokens whose odds are at least {@code bar}. */
    static Candidates above(float[] logits, int at, int vocabulary, double[] odds, double bar, int count) {
        long[] found = new long[count];
        int n = 0;
        for (int i = 0; i < vocabulary; i++) {
            if (odds[i] >= bar) found[n++] = -1 - pack(logits[at + i], i); // falling order is rising order of what is negated
        }
        Arrays.sort(found);
        for (int i = 0; i < count; i++) found[i] = -1 - found[i];
        return new Candidates(found);
    }

    private static long pack(float logit, int token) {
        int bits = Float.floatToIntBits(logit);
        int ordered = bits ^ (bits >> 31 & 0x7fffffff);
        return (long) ordered << 32 | (0xffffffffL - token);
    }

    private static void sift(long[] heap, long key) {
        int i = 0;
        while (2 * i + 1 < heap.length) {
            int child = 2 * i + 1;
            if (child + 1 < heap.length && heap[child + 1] < heap[child]) child++;
            if (key <= heap[child]) break;
            heap[i] = heap[child];
            i = child;
        }
        heap[i] = key;
    }

    int size() {
        return packed.length;
    }

    int token(int i) {
        return (int) (0xffffffffL - (packed[i] & 0xffffffffL));
    }

    float logit(int i) {
        int ordered = (int) (packed[i] >> 32);
        return Float.intBitsToFloat(ordered ^ (ordered >> 31 & 0x7fffffff));
    }
}
