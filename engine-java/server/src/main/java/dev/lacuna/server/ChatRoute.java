package dev.lacuna.server;

import dev.lacuna.Lacuna;
import dev.lacuna.generate.Sampling;
import dev.lacuna.text.Message;
import dev.lacuna.text.TemplateException;
import java.util.List;
import java.util.Set;
import java.util.function.Function;

/** Chat completions. */
final class ChatRoute extends TextRoute {
    ChatRoute(Models models, Admission admission) {
        super(models, admission);
    }

    @Override
    public String path() {
        return "/v1/chat/completions";
    }

    @Override
    String idPrefix() {
        return "chatcmpl-";
    }

    /** What needs the model's template, which may be missing or refuse a conversation. */
    static <T> T templated(Lacuna model, Function<Lacuna, T> use) {
        if (!model.hasTemplate()) {
            throw ApiException.refused(400, "no_chat_template",
                    "this model has no chat template; use /v1/completions, or serve it with --template");
        }
        try {
            return use.apply(model);
        } catch (TemplateException e) {
            throw ApiException.invalid("messages", "the model's chat template refuses these messages");
        }
    }

    @Override
    Collector read(Exchange x, Fields f, Lacuna model, Asked asked, Set<String> unknown) {
        List<Message> messages = MessageFields.read(f, x.limits().messages(), unknown);
        SamplingFields.refuseUnsupported(f);
        int older = f.whole("max_tokens", 1, Integer.MAX_VALUE, 0);
        int most = f.whole("max_completion_tokens", 1, Integer.MAX_VALUE, older);
        boolean logprobs = f.bool("logprobs", false);
        int top = f.whole("top_logprobs", 0, Sampling.MAX_LOGPROBS, 0);
        if (top > 0 && !logprobs) throw f.wrong("top_logprobs", "has a meaning only where logprobs is true");
        Sampling sampling = SamplingFields.read(f, model.tokenizer(), most).withLogprobs(logprobs ? top : Sampling.NO_LOGPROBS);
        asked.add(templated(model, m -> m.encode(messages)), sampling, model.context());
        return new ChatCollector(asked, model, messages, logprobs);
    }
}
