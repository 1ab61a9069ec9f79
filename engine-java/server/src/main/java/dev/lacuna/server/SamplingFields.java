package dev.lacuna.server;

import dev.lacuna.generate.Sampling;
import dev.lacuna.text.Tokenizer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Reads how tokens are chosen, and refuses what other servers know and this one does not. */
final class SamplingFields {
    static final int MOST_STOPS = 16;
    static final int LONGEST_STOP = 256; // characters
    private static final int MOST_BIASES = 1024;

    private SamplingFields() {}

    /**
     * All but log-probabilities, which chat and completions spell differently.
     *
     * @param maxTokens the most tokens; 0: until the context is full
     */
    static Sampling read(Fields f, Tokenizer tokenizer, int maxTokens) {
        Long seed = f.whole("seed", Long.MIN_VALUE, Long.MAX_VALUE);
        int topK = f.whole("top_k", -1, 1_000_000, 0); // -1 says "all" to vLLM
        return new Sampling(maxTokens, f.number("temperature", 0, 2, 1), Math.max(0, topK), f.number("top_p", 0, 1, 1),
                f.number("min_p", 0, 1, 0),
                f.number("repetition_penalty", 0.01, 10, 1), f.number("frequency_penalty", -2, 2, 0),
                f.number("presence_penalty", -2, 2, 0),
                seed == null ? ThreadLocalRandom.current().nextLong() : seed, stops(f)).withLogitBias(biases(f, tokenizer));
    }

    /** What is known elsewhere and would change an answer. */
    static void refuseUnsupported(Fields f) {
        f.unsupported("tools", v -> v.isArray() && v.isEmpty());
        f.unsupported("tool_choice", v -> v.isString() && (v.asString().equals("none") || v.asString().equals("auto")));
        f.unsupported("functions", v -> v.isArray() && v.isEmpty());
        f.unsupported("function_call", v -> v.isString() && v.asString().equals("none"));
        f.unsupported("response_format", v -> v.isObject() && v.path("type").isString() && v.path("type").asString().equals("text"));
        f.unsupported("modalities", v -> v.isArray() && v.size() == 1 && v.get(0).isString() && v.get(0).asString().equals("text"));
        for (String media : List.of("audio", "prediction", "web_search_options")) f.unsupported(media, _ -> false);
        for (String constraint : List.of("grammar", "json_schema", "structured_outputs", "guided_json", "guided_regex", "guided_choice",
                "guided_grammar")) {
            f.unsupported(constraint, _ -> false);
        }
        // a template from a request would be a program from a request
        for (String template : List.of("chat_template", "chat_template_kwargs")) f.unsupported(template, _ -> false);
        f.unsupported("store", v -> v.isBoolean() && !v.booleanValue());
        f.unsupported("ignore_eos", v -> v.isBoolean() && !v.booleanValue());
        f.unsupported("reasoning_effort", _ -> false);
        f.unsupported("verbosity", _ -> false);
        // these name the asker, or how others may serve it, and change nothing of the answer
        f.accept("user", "safety_identifier", "prompt_cache_key", "metadata", "service_tier", "parallel_tool_calls");
    }

    private static List<String> stops(Fields f) {
        JsonNode value = f.any("stop");
        List<String> stops = new ArrayList<>();
        if (value == null) return stops;
        if (value.isArray()) {
            if (value.size() > MOST_STOPS) throw f.wrong("stop", "has " + value.size() + " entries; at most " + MOST_STOPS + " are taken");
            value.forEach(v -> stops.add(stop(f, v)));
        } else {
            stops.add(stop(f, value));
        }
        return stops;
    }

    private static String stop(Fields f, JsonNode value) {
        if (!value.isString() || value.asString().isEmpty()
                || value.asString().codePointCount(0, value.asString().length()) > LONGEST_STOP) {
            throw f.wrong("stop", "must be one string, or a list of strings, each of 1 to " + LONGEST_STOP + " characters");
        }
        return value.asString();
    }

    private static Map<Integer, Float> biases(Fields f, Tokenizer tokenizer) {
        JsonNode value = f.any("logit_bias");
        Map<Integer, Float> biases = new HashMap<>();
        if (value == null) return biases;
        if (!value.isObject()) throw f.wrong("logit_bias", "must be an object of token ids and numbers");
        if (value.size() > MOST_BIASES) throw f.wrong("logit_bias", "has more than " + MOST_BIASES + " entries");
        for (String name : value.propertyNames()) {
            Integer token = token(name, tokenizer.size());
            JsonNode bias = value.get(name);
            if (token == null || biases.containsKey(token)) {
                throw f.wrong("logit_bias", "has a name that is no token id within 0.." + (tokenizer.size() - 1) + ", or one twice");
            }
            if (!bias.isNumber() || !(Math.abs(bias.doubleValue()) <= 100))
                throw f.wrong("logit_bias", "must have numbers within -100..100");
            biases.put(token, bias.floatValue());
        }
        return biases;
    }

    private static @Nullable Integer token(String name, int tokens) {
        try {
            int id = Integer.parseInt(name);
            return id >= 0 && id < tokens ? id : null;
        } catch (NumberFormatException e) {
            return null;
        }
    }
}
