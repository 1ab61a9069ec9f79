package dev.lacuna.server;

import static dev.lacuna.server.TestServer.CHAT;
import static dev.lacuna.server.TestServer.COMPLETIONS;
import static dev.lacuna.server.TestServer.chat;
import static dev.lacuna.server.TestServer.completion;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.generate.Sampling;
import dev.lacuna.text.Message;
import java.net.http.HttpRequest;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** Every route: what it answers, and what it says of what it does not take. */
class RoutesTest {
    private static TestServer s;

    @BeforeAll
    static void start() {
        s = TestServer.start();
    }

    @AfterAll
    static void stop() throws InterruptedException {
        s.assertSettled();
        s.close();
    }

    private static String solo(String prompt, int tokens) {
        return s.model.generate(prompt, Sampling.GREEDY.withMaxTokens(tokens)).result().text();
    }

    // ---- chat

    @Test
    void chatAnswersAsTheEngineDoes() {
        int[] prompt = s.model.encode(List.of(Message.system("be brief"), Message.user("hello")));
        String expected = s.model.generate(prompt, Sampling.GREEDY.withMaxTokens(12)).result().text();
        JsonNode r = s.post(CHAT, "{\"model\":\"tiny\",\"messages\":[{\"role\":\"developer\",\"content\":\"be brief\"},"
                + "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hel\"},{\"type\":\"text\",\"text\":\"lo\"}]}],"
                + "\"temperature\":0,\"max_completion_tokens\":12}").json();
        assertEquals("chat.completion", r.get("object").asString());
        assertEquals("tiny", r.get("model").asString());
        assertTrue(r.get("id").asString().startsWith("chatcmpl-"), r.toString());
        JsonNode choice = r.get("choices").get(0);
        assertEquals("assistant", choice.get("message").get("role").asString());
        assertEquals(expected, choice.get("message").get("content").asString());
        assertEquals("length", choice.get("finish_reason").asString());
        JsonNode usage = r.get("usage");
        assertEquals(prompt.length, usage.get("prompt_tokens").asInt());
        assertEquals(12, usage.get("completion_tokens").asInt());
        assertEquals(prompt.length + 12, usage.get("total_tokens").asInt());
    }

    @Test
    void streamSaysTheSamePieceByPiece() {
        String whole = s.post(CHAT, chat("hi", "\"temperature\":0,\"max_tokens\":9")).json().get("choices").get(0).get("message")
                .get("content")
                .asString();
        List<JsonNode> events = s.post(CHAT, chat("hi", "\"temperature\":0,\"max_tokens\":9,\"stream\":true,"
                + "\"stream_options\":{\"include_usage\":true}")).events();
        assertEquals("assistant", events.getFirst().get("choices").get(0).get("delta").get("role").asString());
        StringBuilder text = new StringBuilder();
        String finish = null;
        for (JsonNode e : events.subList(0, events.size() - 1)) {
            assertEquals("chat.completion.chunk", e.get("object").asString());
            JsonNode c = e.get("choices").get(0);
            text.append(c.get("delta").path("content").asString(""));
            if (!c.get("finish_reason").isNull()) finish = c.get("finish_reason").asString();
        }
        assertEquals(whole, text.toString());
        assertEquals("length", finish);
        JsonNode last = events.getLast();
        assertTrue(last.get("choices").isEmpty(), last.toString());
        assertEquals(9, last.get("usage").get("completion_tokens").asInt());
    }

    @Test
    void aSecondTurnFindsItsPrefixInTheCache() {
        String long1 = "a".repeat(200);
        s.post(CHAT, chat(long1, "\"max_tokens\":1"));
        JsonNode usage = s.post(CHAT, chat(long1, "\"max_tokens\":1")).json().get("usage");
        assertEquals(usage.get("prompt_tokens").asInt() - 1, usage.get("prompt_tokens_details").get("cached_tokens").asInt());
    }

    @Test
    void choicesDifferAndRepeatWithTheirSeed() {
        String asked = chat("hi", "\"n\":3,\"seed\":7,\"temperature\":2,\"max_tokens\":16");
        JsonNode first = s.post(CHAT, asked).json();
        JsonNode second = s.post(CHAT, asked).json();
        assertEquals(3, first.get("choices").size());
        assertEquals(first.get("choices"), second.get("choices"));
        Set<String> texts = new TreeSet<>();
        first.get("choices").forEach(c -> texts.add(c.get("message").get("content").asString()));
        assertEquals(3, texts.size(), texts.toString());
        assertEquals(48, first.get("usage").get("completion_tokens").asInt());
        assertNotEquals(first.get("choices"),
                s.post(CHAT, chat("hi", "\"n\":3,\"seed\":8,\"temperature\":2,\"max_tokens\":16")).json().get("choices"));
    }

    @Test
    void streamedChoicesAreTheSame() {
        String fields = "\"n\":2,\"seed\":5,\"temperature\":1.2,\"max_tokens\":6";
        JsonNode whole = s.post(CHAT, chat("yo", fields)).json();
        StringBuilder[] texts = {new StringBuilder(), new StringBuilder()};
        for (JsonNode e : s.post(CHAT, chat("yo", fields + ",\"stream\":true")).events()) {
            JsonNode c = e.get("choices").get(0);
            texts[c.get("index").asInt()].append(c.get("delta").path("content").asString(""));
        }
        for (int i = 0; i < 2; i++) {
            assertEquals(whole.get("choices").get(i).get("message").get("content").asString(), texts[i].toString());
        }
    }

    @Test
    void logprobsAreThoseOfTheModel() {
        JsonNode choice = s.post(CHAT, chat("hi", "\"temperature\":0,\"max_tokens\":5,\"logprobs\":true,\"top_logprobs\":3")).json()
                .get("choices").get(0);
        JsonNode content = choice.get("logprobs").get("content");
        assertEquals(5, content.size());
        StringBuilder text = new StringBuilder();
        for (JsonNode t : content) {
            text.append(t.get("token").asString());
            assertEquals(3, t.get("top_logprobs").size());
            assertEquals(t.get("top_logprobs").get(0).get("logprob"), t.get("logprob"), "greedy takes the likeliest");
            assertTrue(t.get("logprob").asDouble() < 0, t.toString());
            assertTrue(t.get("bytes").isArray(), t.toString());
        }
        assertEquals(choice.get("message").get("content").asString(), text.toString());
        JsonNode plain = s.post(CHAT, chat("hi", "\"temperature\":0,\"max_tokens\":5")).json().get("choices").get(0);
        assertEquals(plain.get("message").get("content"), choice.get("message").get("content"));
        assertTrue(plain.get("logprobs").isNull());
    }

    @Test
    void streamedLogprobsAreTheSame() {
        String fields = "\"temperature\":0,\"max_tokens\":5,\"logprobs\":true,\"top_logprobs\":2";
        JsonNode whole = s.post(CHAT, chat("hi", fields)).json().get("choices").get(0).get("logprobs").get("content");
        List<JsonNode> streamed = s.post(CHAT, chat("hi", fields + ",\"stream\":true")).events().stream()
                .map(e -> e.get("choices").get(0).path("logprobs").path("content")).filter(JsonNode::isArray).flatMap(JsonNode::valueStream)
                .toList();
        assertEquals(whole.size(), streamed.size());
        for (int i = 0; i < streamed.size(); i++) assertEquals(whole.get(i).get("token"), streamed.get(i).get("token"));
    }

    @Test
    void aBiasForcesAToken() {
        int id = s.model.tokenizer().id("q").orElseThrow();
        String text = s.post(CHAT, chat("hi", "\"temperature\":0,\"max_tokens\":4,\"logit_bias\":{\"" + id + "\":100}")).json()
                .get("choices").get(0)
                .get("message").get("content").asString();
        assertEquals("qqqq", text);
    }

    @Test
    void stopEndsTheTextBeforeIt() {
        String full = solo("abc", 12);
        String stop = full.substring(4, 6);
        JsonNode choice = s.post(COMPLETIONS,
                completion("abc", 12, "\"stop\":[\"\\u0000\\u0001\",\"" + stop.replace("\\", "\\\\").replace("\"", "\\\"")
                        + "\"]"))
                .json().get("choices").get(0);
        assertEquals(full.substring(0, full.indexOf(stop)), choice.get("text").asString());
        assertEquals("stop", choice.get("finish_reason").asString());
    }

    // ---- completions

    @Test
    void completionContinues() {
        JsonNode r = s.post(COMPLETIONS, completion("abc", 10, "")).json();
        assertEquals("text_completion", r.get("object").asString());
        assertEquals(solo("abc", 10), r.get("choices").get(0).get("text").asString());
        int[] ids = s.model.encode("abc");
        JsonNode byIds = s.post(COMPLETIONS, "{\"prompt\":" + Arrays.toString(ids) + ",\"max_tokens\":10,\"temperature\":0}").json();
        assertEquals(r.get("choices"), byIds.get("choices"));
    }

    @Test
    void severalPromptsKeepTheirOrder() {
        JsonNode r = s.post(COMPLETIONS, "{\"prompt\":[\"abc\",\"xyz\"],\"n\":2,\"max_tokens\":6,\"temperature\":0}").json();
        assertEquals(4, r.get("choices").size());
        for (int i = 0; i < 4; i++) assertEquals(solo(i < 2 ? "abc" : "xyz", 6), r.get("choices").get(i).get("text").asString());
        assertEquals(s.model.encode("abc").length + s.model.encode("xyz").length, r.get("usage").get("prompt_tokens").asInt());
    }

    @Test
    void completionStreams() {
        StringBuilder text = new StringBuilder();
        List<JsonNode> events = s.post(COMPLETIONS, completion("abc", 10, "\"stream\":true,\"logprobs\":1")).events();
        events.forEach(e -> text.append(e.get("choices").get(0).get("text").asString()));
        assertEquals(solo("abc", 10), text.toString());
        assertEquals("length", events.getLast().get("choices").get(0).get("finish_reason").asString());
    }

    @Test
    void olderLogprobs() {
        JsonNode l = s.post(COMPLETIONS, completion("abc", 4, "\"logprobs\":2")).json().get("choices").get(0).get("logprobs");
        assertEquals(4, l.get("tokens").size());
        assertEquals(4, l.get("token_logprobs").size());
        assertEquals(2, l.get("top_logprobs").get(0).size());
        assertEquals(0, l.get("text_offset").get(0).asInt());
        assertEquals(l.get("tokens").get(0).asString().length(), l.get("text_offset").get(1).asInt());
    }

    // ---- the rest

    @Test
    void modelsAreListedAndFound() {
        JsonNode list = s.get("/v1/models").json();
        assertEquals("list", list.get("object").asString());
        assertEquals("tiny", list.get("data").get(0).get("id").asString());
        assertEquals(TestServer.CONTEXT, list.get("data").get(0).get("max_model_len").asInt());
        assertEquals(list.get("data").get(0), s.get("/v1/models/tiny").json());
        assertEquals("model_not_found", s.get("/v1/models/other").error(404).get("code").asString());
        assertEquals("model_not_found", s.post(CHAT, chat("hi", "\"model\":\"gpt-4\"")).error(404).get("code").asString());
    }

    @Test
    void tokensThereAndBack() {
        JsonNode r = s.post("/tokenize", "{\"content\":\"abc <|user|>\",\"add_special\":true,\"with_pieces\":true}").json();
        int[] expected = s.model.encode("abc <|user|>");
        assertEquals(expected.length, r.get("count").asInt());
        for (int i = 0; i < expected.length; i++) assertEquals(expected[i], r.get("tokens").get(i).asInt());
        assertEquals("<s>", r.get("pieces").get(0).asString());
        assertEquals(r.get("tokens"),
                s.post("/tokenize", "{\"prompt\":\"abc <|user|>\",\"add_special_tokens\":true}").json().get("tokens"));
        JsonNode plain = s.post("/tokenize", "{\"content\":\"<|user|>\",\"parse_special\":false}").json();
        assertTrue(plain.get("count").asInt() > 1, plain.toString());
        String ids = s.post("/tokenize", "{\"content\":\"abc\"}").json().get("tokens").toString();
        assertEquals("abc", s.post("/detokenize", "{\"tokens\":" + ids + "}").json().get("content").asString());
    }

    @Test
    void templateIsApplied() {
        JsonNode r = s.post("/apply-template", "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}").json();
        assertEquals(s.model.render(List.of(Message.user("hi"))), r.get("prompt").asString());
    }

    @ParameterizedTest
    @ValueSource(strings = {"/health", "/health/live", "/health/ready"})
    void healthy(String path) {
        assertEquals("ok", s.get(path).json().get("status").asString());
    }

    @Test
    void versionIsTold() {
        assertEquals("lacuna", s.get("/version").json().get("server").asString());
    }

    @Test
    void theDocumentNamesEveryRouteAndTheOtherWayRound() {
        JsonNode paths = s.get("/openapi.json").json().get("paths");
        Set<String> documented = new TreeSet<>();
        for (String path : paths.propertyNames()) {
            for (String method : paths.get(path).propertyNames()) documented.add(method.toUpperCase(Locale.ROOT) + " " + path);
        }
        Set<String> there = new TreeSet<>();
        for (Route r : s.server.routes()) {
            if (!(r instanceof ResourceRoute) || r.path().equals("/openapi.json"))
                there.add(r.method() + " " + r.path().replace("*", "{model}"));
        }
        assertEquals(there, documented);
    }

    @Test
    void everyFieldThatIsReadIsDocumented() {
        JsonNode schemas = s.get("/openapi.json").json().get("components").get("schemas");
        Set<String> chat = new TreeSet<>(schemas.get("ChatRequest").get("properties").propertyNames());
        for (String f : List.of("messages", "temperature", "top_p", "top_k", "min_p", "seed", "stop", "n", "logprobs", "top_logprobs",
                "logit_bias",
                "frequency_penalty", "presence_penalty", "max_completion_tokens", "max_tokens", "stream", "stream_options", "user")) {
            assertTrue(chat.contains(f), f);
        }
    }

    // ---- refusals

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {"\"temperature\":-0.1|temperature", "\"temperature\":2.1|temperature",
            "\"temperature\":\"1\"|temperature", "\"temperature\":1e400|temperature", "\"top_p\":1.5|top_p", "\"top_k\":-2|top_k",
            "\"top_k\":1.5|top_k", "\"min_p\":2|min_p", "\"seed\":1e30|seed", "\"seed\":99999999999999999999|seed", "\"stop\":5|stop",
            "\"stop\":\"\"|stop", "\"stop\":[\"\"]|stop", "\"stop\":[1]|stop", "\"n\":0|n", "\"n\":9|n", "\"n\":-1|n", "\"n\":1000000000|n",
            "\"logprobs\":1|logprobs", "\"top_logprobs\":2|top_logprobs", "\"logprobs\":true,\"top_logprobs\":21|top_logprobs",
            "\"logit_bias\":[]|logit_bias", "\"logit_bias\":{\"x\":1}|logit_bias", "\"logit_bias\":{\"999999\":1}|logit_bias",
            "\"logit_bias\":{\"-1\":1}|logit_bias", "\"logit_bias\":{\"3\":101}|logit_bias", "\"logit_bias\":{\"3\":\"1\"}|logit_bias",
            "\"frequency_penalty\":3|frequency_penalty", "\"presence_penalty\":-3|presence_penalty", "\"max_tokens\":0|max_tokens",
            "\"max_tokens\":-5|max_tokens", "\"max_completion_tokens\":4294967296|max_completion_tokens", "\"stream\":\"yes\"|stream",
            "\"stream_options\":{\"include_usage\":true}|stream_options", "\"stream\":true,\"stream_options\":[]|stream_options",
            "\"stream\":true,\"stream_options\":{\"include_usage\":1}|stream_options.include_usage", "\"model\":7|model",
            "\"tools\":[{}]|tools", "\"tool_choice\":\"required\"|tool_choice",
            "\"response_format\":{\"type\":\"json_object\"}|response_format",
            "\"functions\":[{}]|functions", "\"modalities\":[\"audio\"]|modalities", "\"audio\":{}|audio",
            "\"chat_template\":\"x\"|chat_template",
            "\"chat_template_kwargs\":{}|chat_template_kwargs", "\"grammar\":\"x\"|grammar", "\"guided_json\":{}|guided_json",
            "\"store\":true|store", "\"reasoning_effort\":\"low\"|reasoning_effort"})
    void aFieldOutOfRangeIsNamed(String field, String param) {
        assertEquals(param, s.post(CHAT, chat("hi", field)).error(400).get("param").asString());
    }

    @ParameterizedTest
    @ValueSource(strings = {"\"tools\":[]", "\"tool_choice\":\"none\"", "\"response_format\":{\"type\":\"text\"}", "\"temperature\":null",
            "\"user\":\"me\"", "\"metadata\":{\"a\":\"b\"}", "\"store\":false", "\"top_k\":-1", "\"stop\":null", "\"logit_bias\":{}",
            "\"modalities\":[\"text\"]", "\"service_tier\":\"auto\""})
    void aFieldThatAsksForNothingIsTaken(String field) {
        TestServer.Reply r = s.post(CHAT, chat("hi", "\"max_tokens\":1," + field));
        assertEquals(200, r.status(), r.body());
        assertTrue(r.header("x-lacuna-ignored-fields").isEmpty());
    }

    @Test
    void unknownFieldsAreNamed() {
        TestServer.Reply r = s.post(CHAT,
                "{\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"mood\":1}],\"max_tokens\":1,\"zebra\":1,\"b\\r\\nad\":2}");
        assertEquals(200, r.status(), r.body());
        assertEquals("b??ad, messages[0].mood, zebra", r.header("x-lacuna-ignored-fields").orElseThrow());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {"{}|messages", "{\"messages\":[]}|messages", "{\"messages\":{}}|messages",
            "{\"messages\":[1]}|messages[0]", "{\"messages\":[{}]}|messages[0].role",
            "{\"messages\":[{\"role\":\"king\",\"content\":\"x\"}]}|messages[0].role",
            "{\"messages\":[{\"role\":\"user\"}]}|messages[0].content",
            "{\"messages\":[{\"role\":\"user\",\"content\":1}]}|messages[0].content",
            "{\"messages\":[{\"role\":\"user\",\"content\":[]}]}|messages[0].content",
            "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}|messages[0].content[0].text",
            "{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}|messages",
            "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://localhost/\"}}]}]}|messages"})
    void aBadConversationIsNamed(String body, String param) {
        assertEquals(param, s.post(CHAT, body).error(400).get("param").asString());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {"{}|prompt", "{\"prompt\":7}|prompt", "{\"prompt\":[]}|prompt",
            "{\"prompt\":[[]]}|prompt", "{\"prompt\":[-1]}|prompt", "{\"prompt\":[99999999]}|prompt", "{\"prompt\":[1.5]}|prompt",
            "{\"prompt\":[1,\"a\"]}|prompt", "{\"prompt\":[\"a\",{}]}|prompt", "{\"prompt\":[\"a\",\"b\",\"c\"],\"n\":4}|n",
            "{\"prompt\":\"a\",\"echo\":true}|echo", "{\"prompt\":\"a\",\"suffix\":\"b\"}|suffix",
            "{\"prompt\":\"a\",\"best_of\":5}|best_of",
            "{\"prompt\":\"a\",\"logprobs\":21}|logprobs"})
    void aBadPromptIsNamed(String body, String param) {
        assertEquals(param, s.post(COMPLETIONS, body).error(400).get("param").asString());
    }

    @Test
    void aPromptThatIsTooLongSaysByHowMuch() {
        JsonNode e = s.post(CHAT, chat("a".repeat(TestServer.CONTEXT + 10), "")).error(400);
        assertEquals("context_length_exceeded", e.get("code").asString());
        assertTrue(e.get("message").asString().contains(Integer.toString(TestServer.CONTEXT)), e.toString());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "{", "[]", "null", "\"x\"", "{} {}", "{\"a\":1,\"a\":2}", "{'a':1}", "{\"a\":NaN}", "{\"a\":01}", "\u0000"})
    void aBodyThatIsNoObjectIsRefused(String body) {
        s.post(CHAT, body).error(400);
        s.post("/tokenize", body).error(400);
    }

    @Test
    void unknownPathsAndMethods() {
        assertEquals("not_found", s.get("/v1/embeddings").error(404).get("code").asString());
        TestServer.Reply r = s.get(CHAT);
        assertEquals("method_not_allowed", r.error(405).get("code").asString());
        assertEquals("POST", r.header("allow").orElseThrow());
        assertEquals(405, s.send(s.request("/health/live").method("DELETE", HttpRequest.BodyPublishers.noBody()).build()).status());
        HttpRequest form = s.request(CHAT).header("Content-Type", "text/plain").POST(HttpRequest.BodyPublishers.ofString(chat("x", "")))
                .build();
        assertEquals("unsupported_media_type", s.send(form).error(415).get("code").asString());
    }

    @Test
    void metricsByTheNamesThatOthersGraph() {
        s.post(CHAT, chat("hi", "\"max_tokens\":3"));
        String text = s.get("/metrics").body();
        for (String name : List.of("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc",
                "vllm:prompt_tokens_total",
                "vllm:generation_tokens_total", "vllm:time_to_first_token_seconds_bucket", "vllm:time_per_output_token_seconds_sum",
                "vllm:e2e_request_latency_seconds_count", "vllm:prefix_cache_hits_total", "vllm:request_success_total",
                "llamacpp:prompt_tokens_total",
                "llamacpp:tokens_predicted_total", "llamacpp:requests_processing", "llamacpp:requests_deferred",
                "llamacpp:predicted_tokens_seconds")) {
            assertTrue(text.contains("\n" + name + "{model_name=\"tiny\""), name);
        }
        assertTrue(s.metric("vllm:generation_tokens_total") >= 3);
        assertEquals(s.metric("vllm:time_to_first_token_seconds_count"),
                s.metric("vllm:time_to_first_token_seconds_bucket{model_name=\"tiny\",le=\"+Inf\"}"));
        Set<String> families = new TreeSet<>();
        text.lines().filter(l -> l.startsWith("# TYPE")).forEach(l -> assertTrue(families.add(l.split(" ")[2]), "twice: " + l));
        assertFalse(text.contains("NaN"), text);
    }
}
