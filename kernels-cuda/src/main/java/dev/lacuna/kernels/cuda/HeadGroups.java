package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Attention;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Which query heads read each key head, on the device, once for each distinct list. */
final class HeadGroups {
    private final CudaOps ops;
    private final Map<List<Integer>, Group> known = new HashMap<>();

    HeadGroups(CudaOps ops) {
        this.ops = ops;
    }

    /**
     * Query heads sorted by the key head that they read.
     *
     * @param start address of {@code [kvHeads + 1]} places in the list, where each key head's begin
     * @param heads address of the list
     */
    record Group(long start, long heads) {}

    Group of(Attention a, int kvHeads) {
        List<Integer> key = new ArrayList<>(Arrays.stream(a.kvOf()).boxed().toList());
        key.add(kvHeads);
        return known.computeIfAbsent(key, k -> make(a.kvOf(), kvHeads));
    }

    private Group make(int[] kvOf, int kvHeads) {
        int[] start = new int[kvHeads + 1];
        int[] heads = new int[Math.max(1, kvOf.length)];
        int n = 0;
        for (int g = 0; g < kvHeads; g++) {
            start[g] = n;
            for (int h = 0; h < kvOf.length; h++) if (kvOf[h] == g) heads[n++] = h;
        }
        start[kvHeads] = n;
        return new Group(ops.constant(start), ops.constant(heads));
    }
}
