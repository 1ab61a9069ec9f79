package dev.lacuna.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.JsonValue;
import com.openai.core.http.StreamResponse;
import com.openai.errors.BadRequestException;
import com.openai.errors.NotFoundException;
import com.openai.errors.UnauthorizedException;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionStreamOptions;
import dev.langchain4j.exception.AuthenticationException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.PartialResponse;
import dev.langchain4j.model.chat.response.PartialResponseContext;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.openai.OpenAiChatModel;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import dev.langchain4j.model.output.FinishReason;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** OpenAI's client for Java and LangChain4j's, unchanged, against a server. */
class JavaClientsTest {
    private static final int TOKENS = 32;
    private static final Duration LONGEST = Duration.ofSeconds(60);
    private static final String ASKED = "Tell me a story.";

    private static ToyServer toy;

    @BeforeAll
    static void start() {
        toy = new ToyServer();
    }

    @AfterAll
    static void stop() {
        if (toy != null) toy.close();
    }

    private static OpenAIClient openAi(String key) {
        return OpenAIOkHttpClient.builder().baseUrl(toy.url() + "/v1").apiKey(key).maxRetries(0).timeout(LONGEST).build();
    }

    private static ChatCompletionCreateParams.Builder chat() {
        return ChatCompletionCreateParams.builder().model(ToyServer.MODEL).addUserMessage(ASKED).temperature(0).maxCompletionTokens(TOKENS);
    }

    private static String text(ChatCompletion answer) {
        return answer.choices().getFirst().message().content().orElseThrow();
    }

    @Test
    void openAiAnswersAndStreams() {
        OpenAIClient client = openAi(ToyServer.KEY);
        ChatCompletion whole = client.chat().completions().create(chat().build());
        assertEquals(ChatCompletion.Choice.FinishReason.LENGTH, whole.choices().getFirst().finishReason());
        assertEquals(TOKENS, whole.usage().orElseThrow().completionTokens());

        StringBuilder streamed = new StringBuilder();
        List<Long> usage = new ArrayList<>();
        var params = chat().streamOptions(ChatCompletionStreamOptions.builder().includeUsage(true).build()).build();
        try (StreamResponse<ChatCompletionChunk> stream = client.chat().completions().createStreaming(params)) {
            stream.stream().forEach(chunk -> {
                chunk.choices().forEach(c -> c.delta().content().ifPresent(streamed::append));
                chunk.usage().ifPresent(u -> usage.add(u.completionTokens()));
            });
        }
        assertEquals(text(whole), streamed.toString());
        assertEquals(List.of((long) TOKENS), usage);
    }

    @Test
    void openAiStops() {
        OpenAIClient client = openAi(ToyServer.KEY);
        String whole = text(client.chat().completions().create(chat().build()));
        String stop = whole.substring(whole.length() / 2, whole.length() / 2 + 5);
        ChatCompletion stopped = client.chat().completions().create(chat().stop(stop).build());
        assertEquals(whole.substring(0, whole.indexOf(stop)), text(stopped));
        assertEquals(ChatCompletion.Choice.FinishReason.STOP, stopped.choices().getFirst().finishReason());
    }

    @Test
    void openAiSeveralWithLogprobs() {
        ChatCompletion answer = openAi(ToyServer.KEY).chat().completions()
                .create(chat().n(3).temperature(1.5).putAdditionalBodyProperty("seed", JsonValue.from(5)).logprobs(true).topLogprobs(2)
                        .build());
        assertEquals(List.of(0L, 1L, 2L), answer.choices().stream().map(ChatCompletion.Choice::index).toList());
        for (ChatCompletion.Choice c : answer.choices()) {
            var tokens = c.logprobs().orElseThrow().content().orElseThrow();
            assertEquals(TOKENS, tokens.size());
            assertTrue(tokens.stream().allMatch(t -> t.logprob() <= 0 && t.topLogprobs().size() == 2));
        }
    }

    @Test
    void openAiCancels() throws Exception {
        long before = toy.server.models().first().metrics.cancelled.sum();
        var params = chat().n(8).maxCompletionTokens(400).build();
        try (StreamResponse<ChatCompletionChunk> stream = openAi(ToyServer.KEY).chat().completions().createStreaming(params)) {
            assertTrue(stream.stream().findFirst().isPresent());
        }
        assertCancelledSince(before);
    }

    private static void assertCancelledSince(long before) throws InterruptedException {
        long until = System.nanoTime() + LONGEST.toNanos();
        while (toy.server.models().first().metrics.cancelled.sum() == before && System.nanoTime() < until) Thread.sleep(10);
        assertEquals(before + 1, toy.server.models().first().metrics.cancelled.sum());
    }

    @Test
    void openAiRefusals() {
        assertThrows(UnauthorizedException.class, () -> openAi("not the key").chat().completions().create(chat().build()));
        OpenAIClient client = openAi(ToyServer.KEY);
        assertThrows(NotFoundException.class, () -> client.chat().completions().create(chat().model("none").build()));
        var tooLong = chat().addUserMessage("word ".repeat(2000)).build();
        var refused = assertThrows(BadRequestException.class, () -> client.chat().completions().create(tooLong));
        assertEquals("context_length_exceeded", refused.code().orElseThrow());
        assertEquals(List.of(ToyServer.MODEL), client.models().list().data().stream().map(m -> m.id()).toList());
    }

    private static OpenAiChatModel.OpenAiChatModelBuilder langChain() {
        return OpenAiChatModel.builder().baseUrl(toy.url() + "/v1").apiKey(ToyServer.KEY).modelName(ToyServer.MODEL).temperature(0.0)
                .maxCompletionTokens(TOKENS).maxRetries(0).timeout(LONGEST);
    }

    private static OpenAiStreamingChatModel.OpenAiStreamingChatModelBuilder langChainStream() {
        return OpenAiStreamingChatModel.builder().baseUrl(toy.url() + "/v1").apiKey(ToyServer.KEY).modelName(ToyServer.MODEL)
                .temperature(0.0)
                .maxCompletionTokens(TOKENS).timeout(LONGEST);
    }

    private static class Collecting implements StreamingChatResponseHandler {
        final StringBuilder text = new StringBuilder();
        final CompletableFuture<ChatResponse> done = new CompletableFuture<>();

        @Override
        public void onPartialResponse(String partial) {
            text.append(partial);
        }

        @Override
        public void onCompleteResponse(ChatResponse response) {
            done.complete(response);
        }

        @Override
        public void onError(Throwable error) {
            done.completeExceptionally(error);
        }
    }

    @Test
    void langChain4jAnswersAndStreams() throws Exception {
        String whole = langChain().build().chat(ASKED);
        assertFalse(whole.isEmpty());
        Collecting handler = new Collecting();
        langChainStream().build().chat(ASKED, handler);
        ChatResponse response = handler.done.get(LONGEST.toSeconds(), TimeUnit.SECONDS);
        assertEquals(whole, handler.text.toString());
        assertEquals(FinishReason.LENGTH, response.finishReason());
        assertEquals(TOKENS, response.tokenUsage().outputTokenCount());
    }

    @Test
    void langChain4jStops() {
        String whole = langChain().build().chat(ASKED);
        String stop = whole.substring(whole.length() / 2, whole.length() / 2 + 5);
        assertEquals(whole.substring(0, whole.indexOf(stop)), langChain().stop(List.of(stop)).build().chat(ASKED));
    }

    @Test
    void langChain4jCancels() throws Exception {
        long before = toy.server.models().first().metrics.cancelled.sum();
        langChainStream().maxCompletionTokens(400).build().chat(ASKED, new Collecting() {
            @Override
            public void onPartialResponse(PartialResponse partial, PartialResponseContext context) {
                context.streamingHandle().cancel();
            }
        });
        assertCancelledSince(before);
    }

    @Test
    void langChain4jRefusals() {
        assertThrows(AuthenticationException.class, () -> langChain().apiKey("not the key").build().chat(ASKED));
        assertThrows(ModelNotFoundException.class, () -> langChain().modelName("none").build().chat(ASKED));
        Throwable tooLong = assertThrows(RuntimeException.class, () -> langChain().build().chat("word ".repeat(2000)));
        assertInstanceOf(dev.langchain4j.exception.InvalidRequestException.class, tooLong);
        assertTrue(tooLong.getMessage().contains("context_length_exceeded"), tooLong.getMessage());
    }
}
