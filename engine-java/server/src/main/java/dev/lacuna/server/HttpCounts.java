package dev.lacuna.server;

import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.LongAdder;

/** Answers by status. */
final class HttpCounts {
    private final ConcurrentSkipListMap<Integer, LongAdder> byStatus = new ConcurrentSkipListMap<>();

    void add(int status) {
        byStatus.computeIfAbsent(status, _ -> new LongAdder()).increment();
    }

    /** Status 0 stands for clients that left before there was an answer. */
    SortedMap<Integer, Long> all() {
        SortedMap<Integer, Long> all = new TreeMap<>();
        byStatus.forEach((status, n) -> all.put(status, n.sum()));
        return all;
    }
}
