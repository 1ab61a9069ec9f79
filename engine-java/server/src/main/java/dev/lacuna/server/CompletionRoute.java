package dev.lacuna.server;

import dev.lacuna.Lacuna;
import dev.lacuna.generate.Sampling;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/** Plain completions: of one prompt or several, as text or as token ids. */
final class CompletionRoute extends TextRoute {
    private static final int MAX_TOKENS = 16; // as OpenAI has it where nobody says

    CompletionRoute(Models models, Admission admission) {
        super(models, admission);
    }

    @Override
    public String path() {
        return "/v1/completions";
    }

    @Override
    String idPrefix() {
        return "cmpl-";
    }

    @Override
    Collector read(Exchange x, Fields f, Lacuna model, Asked asked, Set<String> unknown) {
        List<int[]> prompts = prompts(f, model, x.limits().choices());
        SamplingFields.refuseUnsupported(f);
        f.unsupported("suffix", v -> v.isString() && v.asString().isEmpty());
        f.unsupported("echo", v -> v.isBoolean() && !v.booleanValue());
        f.unsupported("best_of", v -> v.isIntegralNumber() && v.canConvertToInt() && v.intValue() == asked.choices);
        if (prompts.size() * asked.choices > x.limits().choices()) {
            throw f.wrong("n", "times the prompts is more than " + x.limits().choices());
        }
        int logprobs = f.whole("logprobs", 0, Sampling.MAX_LOGPROBS, Sampling.NO_LOGPROBS);
        int most = f.whole("max_tokens", 1, Integer.MAX_VALUE, MAX_TOKENS);
        Sampling sampling = SamplingFields.read(f, model.tokenizer(), most).withLogprobs(logprobs);
        for (int[] prompt : prompts) asked.add(prompt, sampling, model.context());
        return new TextCollector(asked, model.tokenizer(), logprobs != Sampling.NO_LOGPROBS);
    }

    private static List<int[]> prompts(Fields f, Lacuna model, int most) {
        JsonNode prompt = f.any("prompt");
        if (prompt == null) throw f.wrong("prompt", "is missing");
        List<int[]> prompts = new ArrayList<>();
        if (prompt.isString()) {
            prompts.add(model.encode(prompt.asString()));
        } else if (prompt.isArray() && !prompt.isEmpty() && prompt.get(0).isNumber()) {
            prompts.add(TokenIds.read(f, "prompt", prompt, model.tokenizer().size()));
        } else if (prompt.isArray() && !prompt.isEmpty() && prompt.size() <= most) {
            for (JsonNode p : prompt) {
                if (!p.isString() && !p.isArray()) throw bad(f, most);
                prompts.add(p.isString() ? model.encode(p.asString()) : TokenIds.read(f, "prompt", p, model.tokenizer().size()));
            }
        } else {
            throw bad(f, most);
        }
        return prompts;
    }

    private static ApiException bad(Fields f, int most) {
        return f.wrong("prompt", "must be a string, a list of token ids, or a list of 1 to " + most + " of those");
    }
}
