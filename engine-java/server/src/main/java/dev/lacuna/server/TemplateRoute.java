package dev.lacuna.server;

import dev.lacuna.text.Message;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** The prompt that the model's chat template makes of a conversation. */
final class TemplateRoute implements Route {
    private final Models models;

    TemplateRoute(Models models) {
        this.models = models;
    }

    @Override
    public String method() {
        return "POST";
    }

    @Override
    public String path() {
        return "/apply-template";
    }

    @Override
    public void handle(Exchange x) throws Exception {
        Fields f = x.json();
        Set<String> unknown = new TreeSet<>();
        List<Message> messages = MessageFields.read(f, x.limits().messages(), unknown);
        SamplingFields.refuseUnsupported(f);
        try (ModelSlot.Lease lease = models.lease(models.named(f.string("model")), x.limits().queueTimeout())) {
            unknown.addAll(f.unknown());
            String prompt = ChatRoute.templated(lease.model, m -> m.render(messages));
            x.ignored(unknown);
            x.send(new Replies.Prompt(prompt));
        }
    }
}
