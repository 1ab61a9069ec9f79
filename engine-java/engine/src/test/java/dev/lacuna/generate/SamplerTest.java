package dev.lacuna.generate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SamplerTest {
    private static final float[] LOGITS = {0, 0, 1, 3, 2, -1, 0}; // the row is the five from the second on

    private static int[] draws(Sampling s, int n) {
        Sampler sampler = new Sampler(s, new int[0]);
        int[] count = new int[5];
        for (int i = 0; i < n; i++) count[sampler.choose(LOGITS.clone(), 1, 5)]++;
        return count;
    }

    private static double probability(int token, double temperature) {
        double sum = 0;
        for (int i = 0; i < 5; i++) sum += Math.exp(LOGITS[1 + i] / temperature);
        return Math.exp(LOGITS[1 + token] / temperature) / sum;
    }

    @Test
    void drawsFollowTheSoftmax() {
        int n = 200_000;
        for (double t : new double[]{0.5, 1, 2}) {
            int[] count = draws(Sampling.GREEDY.withTemperature(t).withSeed(3), n);
            for (int i = 0; i < 5; i++) {
                double p = probability(i, t);
                assertEquals(p, count[i] / (double) n, 5 * Math.sqrt(p * (1 - p) / n) + 1e-9, "token " + i + " at temperature " + t);
            }
        }
    }

    @Test
    void topKTopPAndMinPKeepTheBest() {
        assertArrayEquals(new int[]{0, 0, 1000, 0, 0}, draws(Sampling.GREEDY, 1000));
        int[] k = draws(Sampling.GREEDY.withTemperature(1).withTopK(2), 1000);
        assertTrue(k[2] > 0 && k[3] > 0 && k[2] + k[3] == 1000);
        // probabilities 0.63, 0.23, 0.085 ...: the nucleus of 0.8 is two tokens, of 0.5 one
        int[] p = draws(Sampling.GREEDY.withTemperature(1).withTopP(0.8), 1000);
        assertTrue(p[2] > 0 && p[3] > 0 && p[2] + p[3] == 1000);
        assertEquals(1000, draws(Sampling.GREEDY.withTemperature(1).withTopP(0.5), 1000)[2]);
        int[] m = draws(Sampling.GREEDY.withTemperature(1).withMinP(0.3), 1000); // e^-1 = 0.37 stays, e^-2 goes
        assertTrue(m[2] > 0 && m[3] > 0 && m[2] + m[3] == 1000);
    }

    /** Without a sort of everything, the same as with one. */
    @Test
    void theNucleusIsThatOfASort() {
        SplittableRandom random = new SplittableRandom(5);
        Odds odds = new Odds();
        for (int n = 0; n < 400; n++) {
            float[] l = new float[1 + random.nextInt(3000)];
            double spread = random.nextDouble(0.1, 6);
            for (int i = 0; i < l.length; i++) l[i] = (float) (random.nextGaussian() * spread);
            double temperature = random.nextDouble(0.2, 2);
            double topP = random.nextInt(4) == 0 ? 1 : random.nextDouble(0.01, 1);
            double minP = random.nextInt(2) == 0 ? 0 : random.nextDouble(0, 0.3);
            odds.weigh(l, 0, l.length, temperature);
            double draw = random.nextDouble(0.001, 0.999);
            assertEquals(sorted(l, temperature, topP, minP, draw), odds.draw(topP, minP, l, 0, draw), "case " + n);
        }
    }

    private static int sorted(float[] l, double temperature, double topP, double minP, double draw) {
        List<Integer> order = IntStream.range(0, l.length).boxed().sorted((a, b) -> Float.compare(l[b], l[a])).toList();
        double[] p = order.stream().mapToDouble(i -> Math.exp((l[i] - l[order.getFirst()]) / temperature)).toArray();
        double total = Arrays.stream(p).sum();
        int keep = 0;
        double mass = 0;
        while (keep < p.length && (keep == 0 || (p[keep] >= minP && mass < topP * total))) mass += p[keep++];
        double left = draw * mass;
        for (int i = 0; i < keep; i++) {
            left -= p[i];
            if (left < 0) return order.get(i);
        }
        return order.get(keep - 1);
    }

    @Test
    void scoresThatAreNotNumbersAreRefused() {
        float[] nan = {Float.NaN, Float.NaN};
        Sampler sampler = new Sampler(Sampling.GREEDY.withTemperature(1), new int[0]);
        assertThrows(IllegalStateException.class, () -> sampler.choose(nan, 0, 2));
    }

    @Test
    void equalSeedsDrawEqually() {
        Sampling s = Sampling.GREEDY.withTemperature(2).withSeed(11);
        assertArrayEquals(draws(s, 500), draws(s, 500));
    }

    @Test
    void penalties() {
        Sampler repetition = new Sampler(Sampling.GREEDY.withPenalties(2, 0, 0), new int[]{2});
        assertEquals(3, repetition.choose(LOGITS.clone(), 1, 5), "3 / 2 is less than 2");
        Sampler frequency = new Sampler(Sampling.GREEDY.withPenalties(1, 0.6, 0), new int[]{2});
        assertEquals(2, frequency.choose(LOGITS.clone(), 1, 5), "the prompt does not count");
        frequency.accept(2);
        assertEquals(2, frequency.choose(LOGITS.clone(), 1, 5));
        frequency.accept(2);
        assertEquals(3, frequency.choose(LOGITS.clone(), 1, 5));
        Sampler presence = new Sampler(Sampling.GREEDY.withPenalties(1, 0, 0.6), new int[0]);
        presence.accept(2);
        presence.accept(2);
        assertEquals(2, presence.choose(LOGITS.clone(), 1, 5), "once, not for each time");
    }

    @Test
    void candidatesAreTheBestInOrderTiesToTheSmallerToken() {
        SplittableRandom random = new SplittableRandom(1);
        for (int n = 0; n < 500; n++) {
            float[] l = new float[1 + random.nextInt(60)];
            for (int i = 0; i < l.length; i++) l[i] = random.nextInt(-6, 6) / 2f;
            int k = 1 + random.nextInt(l.length);
            Candidates c = Candidates.best(l, 0, l.length, k);
            List<Integer> expected = IntStream.range(0, l.length).boxed().sorted((a, b) -> Float.compare(l[b], l[a])).limit(k).toList();
            for (int i = 0; i < k; i++) {
                assertEquals(expected.get(i), c.token(i));
                assertEquals(l[c.token(i)], c.logit(i));
            }
        }
    }

    @Test
    void nonsenseIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> Sampling.GREEDY.withTemperature(-1));
        assertThrows(IllegalArgumentException.class, () -> Sampling.GREEDY.withTemperature(Double.NaN));
        assertThrows(IllegalArgumentException.class, () -> Sampling.GREEDY.withTopP(1.5));
        assertThrows(IllegalArgumentException.class, () -> Sampling.GREEDY.withStop(List.of("")));
        assertThrows(IllegalArgumentException.class, () -> Sampling.GREEDY.withMaxTokens(-1));
    }
}
