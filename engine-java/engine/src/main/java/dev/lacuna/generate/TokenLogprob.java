package dev.lacuna.generate;

import java.util.ArrayList;
import java.util.List;

/**
 * A token and the natural logarithm of its probability by the model's own distribution: before biases, penalties and temperature.
 *
 * @param top the likeliest tokens at its place in falling order, without lists of their own
 */
public record TokenLogprob(int token, double logprob, List<TokenLogprob> top) {
    public TokenLogprob {
        top = List.copyOf(top);
    }

    /** That of a token in a row of logits, in double precision. */
    static TokenLogprob of(float[] logits, int at, int vocabulary, int token, int likely) {
        Candidates best = Candidates.best(logits, at, vocabulary, Math.max(1, Math.min(likely, vocabulary)));
        double max = best.logit(0);
        double sum = 0;
        for (int i = 0; i < vocabulary; i++) sum += Math.exp(logits[at + i] - max);
        double norm = max + Math.log(sum);
        List<TokenLogprob> top = new ArrayList<>();
        for (int i = 0; i < Math.min(likely, best.size()); i++) top.add(new TokenLogprob(best.token(i), best.logit(i) - norm, List.of()));
        return new TokenLogprob(token, logits[at + token] - norm, top);
    }
}
