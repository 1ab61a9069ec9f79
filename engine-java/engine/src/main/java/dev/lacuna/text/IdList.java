package dev.lacuna.text;

import java.util.Arrays;

/** A growing array of token ids. */
final class IdList {
    private int[] values = new int[64];
    private int count;

    void add(int value) {
        if (count == values.length) {
            values = Arrays.copyOf(values, Math.addExact(count, count >> 1) + 16);
        }
        values[count++] = value;
    }

    void addAll(int[] source, int from, int to) {
        int n = to - from;
        if (n > values.length - count) {
            values = Arrays.copyOf(values, Math.max(Math.addExact(count, n), Math.addExact(count, count >> 1)));
        }
        System.arraycopy(source, from, values, count, n);
        count += n;
    }

    int size() {
        return count;
    }

    int last() {
        return values[count - 1];
    }

    int[] toArray() {
        return Arrays.copyOf(values, count);
    }
}
