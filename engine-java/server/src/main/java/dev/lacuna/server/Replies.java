package dev.lacuna.server;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonInclude.Include;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The objects of OpenAI's interface. Components without a value are left out, those marked otherwise excepted. */
final class Replies {
    private Replies() {}

    record Usage(int promptTokens, int completionTokens, int totalTokens, PromptDetails promptTokensDetails) {}

    record PromptDetails(int cachedTokens) {}

    // ---- chat

    record ChatCompletion(String id, String object, long created, String model, String systemFingerprint, List<ChatChoice> choices,
            Usage usage) {}

    record ChatChoice(int index, ChatMessage message, @JsonInclude(Include.ALWAYS) @Nullable ChatLogprobs logprobs, String finishReason) {}

    record ChatMessage(String role, String content, @Nullable String reasoningContent,
            @JsonInclude(Include.ALWAYS) @Nullable String refusal) {}

    record ChatLogprobs(List<TokenEntry> content) {}

    record TokenEntry(String token, double logprob, int[] bytes, @Nullable List<TokenEntry> topLogprobs) {}

    record ChatChunk(String id, String object, long created, String model, String systemFingerprint, List<ChunkChoice> choices,
            @Nullable Usage usage) {}

    record ChunkChoice(int index, Delta delta, @Nullable ChatLogprobs logprobs,
            @JsonInclude(Include.ALWAYS) @Nullable String finishReason) {}

    record Delta(@Nullable String role, @Nullable String content, @Nullable String reasoningContent) {}

    // ---- completions

    record Completion(String id, String object, long created, String model, String systemFingerprint, List<TextChoice> choices,
            @Nullable Usage usage) {}

    record TextChoice(int index, String text, @JsonInclude(Include.ALWAYS) @Nullable TextLogprobs logprobs,
            @JsonInclude(Include.ALWAYS) @Nullable String finishReason) {}

    record TextLogprobs(List<String> tokens, List<Double> tokenLogprobs, List<Map<String, Double>> topLogprobs, List<Integer> textOffset) {}

    // ---- the rest

    record ModelList(String object, List<Model> data) {}

    record Model(String id, String object, long created, String ownedBy, @Nullable Integer maxModelLen, ModelStatus status) {}

    record ModelStatus(String value) {}

    record Tokens(int[] tokens, int count, int maxModelLen, @Nullable List<String> pieces) {}

    record Text(String content, String prompt) {}

    record Prompt(String prompt) {}

    record Health(String status) {}

    record Version(String version, String server, String java) {}
}
