package dev.lacuna.cli;

import dev.lacuna.Benchmark;

/**
 * What is timed, named as llama-bench does: {@code pp512}, {@code tg128}, {@code tg128 x8} where 8 sequences decode together, {@code @ d1024} where the
 * caches hold so many tokens before.
 *
 * @param prompt    whether a prompt is fed, else tokens are decoded
 * @param length    tokens of each sequence
 * @param depth     tokens before them in the cache
 * @param sequences decoded together
 */
record BenchTest(boolean prompt, int length, int depth, int sequences) {
    String name() {
        return (prompt ? "pp" : "tg") + length + (sequences > 1 ? " x" + sequences : "") + (depth > 0 ? " @ d" + depth : "");
    }

    int positions() {
        return depth + length;
    }

    /** Tokens of a repetition, all sequences together. */
    long tokens() {
        return (long) length * sequences;
    }

    /** One repetition; returns nanoseconds. */
    long run(Benchmark benchmark) {
        return prompt ? benchmark.prompt(depth, length) : benchmark.decode(sequences, depth, length);
    }

    /** Bytes of weights that a repetition reads: all of them in each step. */
    double bytes(Benchmark benchmark) {
        return (double) benchmark.work().stepBytes() * (prompt ? benchmark.steps(length) : length);
    }

    /** Multiply-adds of a repetition's products, attention not among them. */
    double multiplies(Benchmark benchmark) {
        Benchmark.Work work = benchmark.work();
        return (double) work.layerMultiplies() * tokens() + (double) work.outputMultiplies() * (prompt ? 1 : tokens());
    }
}
