package dev.lacuna;

/**
 * How well a model predicts a text.
 *
 * @param nll    negative log-likelihood of each window's scored tokens, summed, natural logarithm
 * @param window tokens of a window, of which all but the first are scored
 * @param nanos  wall time
 */
public record Evaluation(double[] nll, int window, long nanos) {
    public long scored() {
        return (long) nll.length * (window - 1);
    }

    public double perplexity() {
        double sum = 0;
        for (double n : nll) sum += n;
        return Math.exp(sum / scored());
    }

    public double tokensPerSecond() {
        return scored() * 1e9 / nanos;
    }
}
