package dev.lacuna.server;

import dev.lacuna.generate.FinishReason;
import dev.lacuna.generate.Result;
import dev.lacuna.generate.TokenLogprob;
import dev.lacuna.text.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** How results are told in OpenAI's words. */
final class Choice {
    private Choice() {}

    static String finish(Result r) {
        return r.finishReason() == FinishReason.LENGTH ? "length" : "stop";
    }

    static Replies.ChatLogprobs chat(Tokenizer tokenizer, List<TokenLogprob> tokens) {
        List<Replies.TokenEntry> entries = new ArrayList<>();
        for (TokenLogprob t : tokens) {
            List<Replies.TokenEntry> top = new ArrayList<>();
            for (TokenLogprob other : t.top()) top.add(entry(tokenizer, other, null));
            entries.add(entry(tokenizer, t, top));
        }
        return new Replies.ChatLogprobs(entries);
    }

    private static Replies.TokenEntry entry(Tokenizer tokenizer, TokenLogprob t, @Nullable List<Replies.TokenEntry> top) {
        byte[] bytes = tokenizer.bytes(t.token());
        int[] unsigned = new int[bytes.length];
        for (int i = 0; i < bytes.length; i++) unsigned[i] = bytes[i] & 0xff;
        return new Replies.TokenEntry(text(tokenizer, t.token()), t.logprob(), unsigned, top);
    }

    private static String text(Tokenizer tokenizer, int token) {
        return new String(tokenizer.bytes(token), StandardCharsets.UTF_8);
    }

    /**
     * The older form.
     *
     * @param offset characters of text before these tokens
     */
    static Replies.TextLogprobs text(Tokenizer tokenizer, List<TokenLogprob> tokens, int offset) {
        List<String> texts = new ArrayList<>();
        List<Double> logprobs = new ArrayList<>();
        List<Map<String, Double>> tops = new ArrayList<>();
        List<Integer> offsets = new ArrayList<>();
        int at = offset;
        for (TokenLogprob t : tokens) {
            String text = text(tokenizer, t.token());
            texts.add(text);
            logprobs.add(t.logprob());
            Map<String, Double> top = new LinkedHashMap<>();
            for (TokenLogprob other : t.top()) top.putIfAbsent(text(tokenizer, other.token()), other.logprob());
            tops.add(top);
            offsets.add(at);
            at += text.length();
        }
        return new Replies.TextLogprobs(texts, logprobs, tops, offsets);
    }

    /**
     * Tokens of all results.
     *
     * @param choices results that share a prompt, which counts once
     */
    static Replies.Usage usage(List<Result> results, int choices) {
        int prompt = 0;
        int cached = 0;
        int output = 0;
        for (int i = 0; i < results.size(); i++) {
            Result r = results.get(i);
            output += r.outputIds().length;
            if (i % choices != 0) continue;
            prompt += r.promptIds().length;
            cached += r.cachedTokens();
        }
        return new Replies.Usage(prompt, output, prompt + output, new Replies.PromptDetails(cached));
    }
}
