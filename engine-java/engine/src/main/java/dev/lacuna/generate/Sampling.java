package dev.lacuna.generate;

import java.util.List;
import java.util.Map;

/**
 * How tokens are chosen and when to stop.
 *
 * @param maxTokens         the most tokens to generate; 0: until the context is full
 * @param temperature       divides the logits; 0: greedy
 * @param topK              keep the k best; 0: all
 * @param topP              keep the fewest best whose probabilities reach p; 1: all
 * @param minP              drop what is less likely than this share of the best; 0: none
 * @param repetitionPenalty divides positive and multiplies negative logits of tokens of the last {@link #PENALTY_WINDOW}; 1: none (Keskar et al., 2019)
 * @param frequencyPenalty  subtracted for each time that a token was generated
 * @param presencePenalty   subtracted once from each token that was generated
 * @param seed              of the random choices; equal seeds give equal texts
 * @param stop              strings that end the text and are not part of it
 * @param logitBias         added to the logits of tokens before anything else
 * @param logprobs          likely tokens to report beside each that is chosen, with their log-probabilities; {@link #NO_LOGPROBS}: report nothing
 */
public record Sampling(int maxTokens, double temperature, int topK, double topP, double minP, double repetitionPenalty,
        double frequencyPenalty,
        double presencePenalty, long seed, List<String> stop, Map<Integer, Float> logitBias, int logprobs) {
    /** Tokens back that the repetition penalty looks at. */
    public static final int PENALTY_WINDOW = 64;

    /** Most likely tokens that can be reported beside a chosen one. */
    public static final int MAX_LOGPROBS = 20;

    /** Log-probabilities are not reported. */
    public static final int NO_LOGPROBS = -1;

    /** Always the best token, until the context is full. */
    public static final Sampling GREEDY = new Sampling(0, 0, 0, 1, 0, 1, 0, 0, 0, List.of());

    public Sampling {
        within("maxTokens", maxTokens, 0, Integer.MAX_VALUE);
        within("temperature", temperature, 0, 100);
        within("topK", topK, 0, Integer.MAX_VALUE);
        within("topP", topP, 0, 1);
        within("minP", minP, 0, 1);
        within("repetitionPenalty", repetitionPenalty, 0.01, 100);
        within("frequencyPenalty", frequencyPenalty, -100, 100);
        within("presencePenalty", presencePenalty, -100, 100);
        within("logprobs", logprobs, NO_LOGPROBS, MAX_LOGPROBS);
        logitBias = Map.copyOf(logitBias);
        logitBias.values().forEach(bias -> within("logitBias", bias, -1000, 1000));
        stop = List.copyOf(stop);
        if (stop.stream().anyMatch(String::isEmpty)) throw new IllegalArgumentException("a stop string is empty");
    }

    /** Without biases and log-probabilities. */
    public Sampling(int maxTokens, double temperature, int topK, double topP, double minP, double repetitionPenalty,
            double frequencyPenalty,
            double presencePenalty, long seed, List<String> stop) {
        this(maxTokens, temperature, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, seed, stop, Map.of(),
                NO_LOGPROBS);
    }

    private static void within(String name, double value, double min, double max) {
        if (!(value >= min && value <= max))
            throw new IllegalArgumentException(name + " must be within " + min + ".." + max + ", is " + value);
    }

    /** Whether the best token is always taken, with nothing to change the logits. */
    public boolean greedy() {
        return temperature == 0 && !penalized();
    }

    boolean penalized() {
        return repetitionPenalty != 1 || frequencyPenalty != 0 || presencePenalty != 0 || !logitBias.isEmpty();
    }

    public Sampling withMaxTokens(int n) {
        return new Sampling(n, temperature, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, seed, stop, logitBias,
                logprobs);
    }

    public Sampling withTemperature(double t) {
        return new Sampling(maxTokens, t, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, seed, stop, logitBias,
                logprobs);
    }

    public Sampling withTopK(int k) {
        return new Sampling(maxTokens, temperature, k, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, seed, stop,
                logitBias, logprobs);
    }

    public Sampling withTopP(double p) {
        return new Sampling(maxTokens, temperature, topK, p, minP, repetitionPenalty, frequencyPenalty, presencePenalty, seed, stop,
                logitBias, logprobs);
    }

    public Sampling withMinP(double p) {
        return new Sampling(maxTokens, temperature, topK, topP, p, repetitionPenalty, frequencyPenalty, presencePenalty, seed, stop,
                logitBias, logprobs);
    }

    public Sampling withPenalties(double repetition, double frequency, double presence) {
        return new Sampling(maxTokens, temperature, topK, topP, minP, repetition, frequency, presence, seed, stop, logitBias, logprobs);
    }

    public Sampling withSeed(long s) {
        return new Sampling(maxTokens, temperature, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, s, stop,
                logitBias, logprobs);
    }

    public Sampling withStop(List<String> strings) {
        return new Sampling(maxTokens, temperature, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, seed, strings,
                logitBias, logprobs);
    }

    public Sampling withLogitBias(Map<Integer, Float> bias) {
        return new Sampling(maxTokens, temperature, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, seed, stop,
                bias,
                logprobs);
    }

    public Sampling withLogprobs(int likely) {
        return new Sampling(maxTokens, temperature, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty, seed, stop,
                logitBias, likely);
    }
}
