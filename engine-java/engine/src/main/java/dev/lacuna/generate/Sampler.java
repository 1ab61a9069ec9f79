package dev.lacuna.generate;

import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Chooses the next token from logits: biases and penalties, then temperature, then the best k, then the nucleus (Holtzman et al., 2020), then min-p, then one
 * draw. Belongs to one generation.
 */
final class Sampler {
    private final Sampling sampling;
    private final SplittableRandom random;
    private final Map<Integer, Integer> generated = new HashMap<>();
    private final Odds odds = new Odds();
    private final ArrayDeque<Integer> recent = new ArrayDeque<>();

    Sampler(Sampling sampling, int[] prompt) {
        this.sampling = sampling;
        random = new SplittableRandom(sampling.seed());
        for (int i = Math.max(0, prompt.length - Sampling.PENALTY_WINDOW); i < prompt.length; i++) recent.add(prompt[i]);
    }

    /** Remembers a token that was taken. */
    void accept(int token) {
        generated.merge(token, 1, Integer::sum);
        recent.add(token);
        if (recent.size() > Sampling.PENALTY_WINDOW) recent.remove();
    }

    /**
     * Chooses from one row.
     *
     * @param logits scores of all tokens from {@code at} on; changed by the penalties
     */
    int choose(float[] logits, int at, int vocabulary) {
        penalize(logits, at);
        if (sampling.temperature() == 0) return best(logits, at, vocabulary);
        int n = sampling.topK();
        return n > 0 && n < vocabulary ? amongBest(Candidates.best(logits, at, vocabulary, n)) : amongAll(logits, at, vocabulary);
    }

    private int amongAll(float[] logits, int at, int vocabulary) {
        odds.weigh(logits, at, vocabulary, sampling.temperature());
        return sampling.topP() >= 1 && sampling.minP() == 0
                ? odds.draw(random.nextDouble())
                : odds.draw(sampling.topP(), sampling.minP(), logits, at, random.nextDouble());
    }

    private int amongBest(Candidates c) {
        double max = c.logit(0);
        double[] p = new double[c.size()];
        double total = 0;
        for (int i = 0; i < p.length; i++) {
            p[i] = Math.exp((c.logit(i) - max) / sampling.temperature());
            total += p[i];
        }
        return c.token(new Nucleus(sampling.topP(), sampling.minP()).draw(p, total, random.nextDouble()));
    }

    private void penalize(float[] logits, int at) {
        if (!sampling.penalized()) return;
        sampling.logitBias().forEach((token, bias) -> logits[at + token] += bias);
        for (int token : new HashSet<>(recent)) {
            float l = logits[at + token];
            logits[at + token] = (float) (l > 0 ? l / sampling.repetitionPenalty() : l * sampling.repetitionPenalty());
        }
        generated.forEach(
                (token, times) -> logits[at + token] -= (float) (times * sampling.frequencyPenalty() + sampling.presencePenalty()));
    }

    private static int best(float[] logits, int at, int vocabulary) {
        int best = 0;
        for (int i = 1; i < vocabulary; i++) {
            if (logits[at + i] > logits[at + best]) best = i;
        }
        return best;
    }
}
