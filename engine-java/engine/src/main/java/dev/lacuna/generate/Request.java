package dev.lacuna.generate;

import dev.lacuna.model.KvCache;
import dev.lacuna.text.StreamDecoder;
import dev.lacuna.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** One generation as the engine loop sees it: its place in the cache, how far it is, and what it has said. */
final class Request {
    final int[] prompt;
    final Sampling sampling;
    final String namespace;
    final Generation generation = new Generation();
    private final Tokenizer tokenizer;
    private final int limit; // tokens of prompt and output together
    private final Sampler sampler;
    private final StreamDecoder decoder;
    private final StopStrings stops;
    private final StringBuilder text = new StringBuilder();
    private final long submitted = System.nanoTime();
    private final List<TokenLogprob> logprobs = new ArrayList<>(); // of tokens that no piece was told of
    private int[] output = new int[16];
    private int outputs;
    private long started;
    private long firstToken;
    private long lastToken;
    private KvCache.@Nullable Sequence sequence;

    Request(int[] prompt, Sampling sampling, String namespace, Tokenizer tokenizer, int context) {
        this.prompt = prompt;
        this.namespace = namespace;
        this.sampling = sampling;
        this.tokenizer = tokenizer;
        limit = sampling.maxTokens() == 0 ? context : (int) Math.min(context, (long) prompt.length + sampling.maxTokens());
        sampler = new Sampler(sampling, prompt);
        decoder = new StreamDecoder(tokenizer, true);
        stops = new StopStrings(sampling.stop());
    }

    /** Tokens that it may need room for. */
    int positions() {
        return limit;
    }

    void start(KvCache.Sequence s) {
        sequence = s;
        started = System.nanoTime();
        generation.start();
    }

    /** Whether the number of the largest logit is all that it needs. */
    boolean plain() {
        return sampling.greedy() && sampling.logprobs() == Sampling.NO_LOGPROBS;
    }

    KvCache.Sequence sequence() {
        KvCache.Sequence s = sequence;
        if (s == null) throw new IllegalStateException("a request that was not admitted");
        return s;
    }

    /** Tokens that are known and not yet in the cache: the rest of the prompt, or the one that was chosen last. */
    int pending() {
        return prompt.length + outputs - sequence().length();
    }

    /** The next token to compute. */
    int next() {
        int at = sequence().length();
        return at < prompt.length ? prompt[at] : output[at - prompt.length];
    }

    /** Takes a row of logits, {@code best} being its largest, and returns why the generation ends, or null if it goes on. */
    @Nullable
    FinishReason choose(int best, float @Nullable [] logits, int row) {
        int at = row * tokenizer.size();
        float[] own = logits != null && sampling.logprobs() >= 0 ? Arrays.copyOfRange(logits, at, at + tokenizer.size()) : null;
        int token = logits == null ? best : sampler.choose(logits, at, tokenizer.size());
        lastToken = System.nanoTime();
        if (outputs == 0) firstToken = lastToken;
        sampler.accept(token);
        if (outputs == output.length) output = Arrays.copyOf(output, 2 * outputs);
        output[outputs++] = token;
        if (tokenizer.eos().contains(token)) return FinishReason.STOP;
        if (own != null) logprobs.add(TokenLogprob.of(own, 0, own.length, token, sampling.logprobs()));
        show(stops.add(decoder.next(token)));
        if (stops.stopped()) return FinishReason.STOP;
        return prompt.length + outputs >= limit ? FinishReason.LENGTH : null;
    }

    private void show(String piece) {
        text.append(piece);
        if (piece.isEmpty()) return; // its tokens' log-probabilities come with the text that they complete
        generation.emit(new Piece(piece, logprobs));
        logprobs.clear();
    }

    /** Ends it; what a stop string might have begun with is shown now. */
    void finish(FinishReason reason, int context) {
        if (!stops.stopped()) {
            show(stops.add(decoder.finish()));
            if (!stops.stopped()) show(stops.finish());
            generation.emit(new Piece("", logprobs));
        }
        int cached = sequence == null ? 0 : sequence.cachedTokens();
        long begun = sequence == null ? System.nanoTime() : started;
        boolean full = reason == FinishReason.LENGTH && prompt.length + outputs >= context;
        var timings = new Result.Timings(begun - submitted, outputs == 0 ? 0 : firstToken - begun,
                outputs == 0 ? 0 : lastToken - firstToken,
                sequence == null ? 0 : prompt.length - cached, outputs);
        generation.finish(new Result(prompt.clone(), Arrays.copyOf(output, outputs), text.toString(), reason, full, cached, timings));
    }
}
