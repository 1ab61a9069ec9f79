package dev.lacuna.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.ops.KvSpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KvCacheTest {
    private static final int BLOCK = KvSpec.BLOCK;

    /** What a device would hold: the token that was written to each slot. */
    private int[][] memory;
    private int copies;

    private KvCache cache(int blocks) {
        memory = new int[blocks][BLOCK];
        return new KvCache(blocks, (from, to) -> {
            memory[to] = memory[from].clone();
            copies++;
        });
    }

    private void feed(KvCache.Sequence s, int token) {
        int position = s.append(token);
        memory[s.table()[position / BLOCK]][position % BLOCK] = token;
    }

    private KvCache.Sequence run(KvCache cache, int[] tokens, int positions) {
        KvCache.Sequence s = cache.open(tokens, positions);
        assertNotNull(s);
        for (int i = s.length(); i < tokens.length; i++) feed(s, tokens[i]);
        s.commit();
        return s;
    }

    private int[] stored(KvCache.Sequence s) {
        return IntStream.range(0, s.length()).map(p -> memory[s.table()[p / BLOCK]][p % BLOCK]).toArray();
    }

    private static int[] tokens(int seed, int n) {
        return new SplittableRandom(seed).ints(n, 0, 1000).toArray();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 31, 32, 33, 64, 100})
    void aRepeatedPromptIsFoundButForItsLastToken(int n) {
        KvCache cache = cache(32);
        int[] prompt = tokens(1, n);
        run(cache, prompt, n + 10).release();
        KvCache.Sequence again = run(cache, prompt, n + 10);
        assertEquals(n - 1, again.cachedTokens());
        assertArrayEquals(prompt, stored(again));
    }

    @Test
    void aPrefixIsSharedToTheTokenAndTheOriginalIsNotTouched() {
        KvCache cache = cache(32);
        int[] first = tokens(1, 80);
        KvCache.Sequence a = run(cache, first, 100);
        int[] second = first.clone();
        second[50] = 5000;
        KvCache.Sequence b = run(cache, second, 100);
        assertEquals(50, b.cachedTokens());
        assertEquals(a.table()[0], b.table()[0], "full blocks are shared, not copied");
        assertEquals(1, copies);
        assertArrayEquals(second, stored(b));
        assertArrayEquals(first, stored(a));
    }

    @Test
    void whatIsInUseIsRefusedAndWhatCannotFitIsAnError() {
        KvCache cache = cache(5);
        KvCache.Sequence a = run(cache, tokens(1, 40), 100); // 4 blocks
        assertNull(cache.open(tokens(2, 3), 3));
        assertEquals(4, cache.inUse());
        a.release();
        assertEquals(0, cache.inUse());
        assertThrows(IllegalArgumentException.class, () -> cache.open(tokens(2, 3), 129));
        run(cache, tokens(2, 3), 128).release();
    }

    @Test
    void theLastFreeBlockMayBeThePartialPrefixItself() {
        KvCache cache = cache(2);
        int[] prompt = tokens(1, 10);
        run(cache, prompt, 20).release();
        int[] longer = Arrays.copyOf(prompt, 15);
        KvCache.Sequence s = run(cache, longer, 20);
        assertEquals(10, s.cachedTokens());
        assertArrayEquals(longer, stored(s));
    }

    @Test
    void outgrowingTheReservationIsAnError() {
        KvCache cache = cache(5);
        KvCache.Sequence s = run(cache, tokens(1, 32), 32);
        assertThrows(IllegalStateException.class, () -> s.append(1));
        s.release();
        assertThrows(IllegalStateException.class, () -> s.append(1));
    }

    @Test
    void discardedTokensAreNotFound() {
        KvCache cache = cache(8);
        KvCache.Sequence s = cache.open(tokens(1, 40), 64);
        assertNotNull(s);
        for (int t : tokens(1, 40)) feed(s, t);
        s.discard();
        assertEquals(0, cache.inUse());
        KvCache.Sequence again = run(cache, tokens(1, 40), 64);
        assertEquals(0, again.cachedTokens());
    }

    /** Thousands of overlapping conversations in a cache that is always short: every sequence reads what it wrote or what an equal prefix wrote. */
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void randomConversations(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        KvCache cache = cache(40);
        List<KvCache.Sequence> open = new ArrayList<>();
        List<int[]> expected = new ArrayList<>();
        int reused = 0;
        int refused = 0;
        for (int step = 0; step < 5000; step++) {
            int choice = random.nextInt(10);
            if (choice < 2 || open.isEmpty()) {
                // few distinct tokens, so that prefixes meet often
                int[] prompt = new int[1 + random.nextInt(120)];
                SplittableRandom content = new SplittableRandom(random.nextInt(4));
                for (int i = 0; i < prompt.length; i++) prompt[i] = content.nextInt(3);
                if (random.nextBoolean()) prompt[random.nextInt(prompt.length)] = 9;
                KvCache.Sequence s = cache.open(prompt, prompt.length + 64);
                if (s == null) {
                    refused++;
                } else {
                    reused += s.cachedTokens();
                    for (int i = s.length(); i < prompt.length; i++) feed(s, prompt[i]);
                    s.commit();
                    open.add(s);
                    expected.add(prompt);
                }
            } else if (choice < 8) {
                int i = random.nextInt(open.size());
                KvCache.Sequence s = open.get(i);
                if (s.length() < expected.get(i).length + 1 && s.length() % BLOCK != 0) {
                    int token = random.nextInt(3);
                    feed(s, token);
                    s.commit();
                    expected.set(i, Arrays.copyOf(expected.get(i), s.length()));
                    expected.get(i)[s.length() - 1] = token;
                }
            } else {
                int i = random.nextInt(open.size());
                if (choice == 8) open.get(i).release();
                else open.get(i).discard();
                open.remove(i);
                expected.remove(i);
            }
            for (int i = 0; i < open.size(); i++) assertArrayEquals(expected.get(i), stored(open.get(i)), "seed " + seed + ", step " + step);
        }
        assertTrue(reused > 0 && refused > 0, "the test must meet both: reused " + reused + ", refused " + refused);
        open.forEach(KvCache.Sequence::release);
        assertEquals(0, cache.inUse());
        cache.forget();
        assertEquals(0, cache.idle());
        KvCache.Sequence all = cache.open(new int[] {1}, 39 * BLOCK);
        assertNotNull(all, "every block is free again");
    }
}
