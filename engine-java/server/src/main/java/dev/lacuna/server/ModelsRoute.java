package dev.lacuna.server;

import dev.lacuna.Lacuna;
import java.util.List;

/** The models there are. */
final class ModelsRoute implements Route {
    private final Models models;
    private final long created;

    ModelsRoute(Models models, long created) {
        this.models = models;
        this.created = created;
    }

    @Override
    public String method() {
        return "GET";
    }

    @Override
    public String path() {
        return "/v1/models";
    }

    static Replies.Model describe(ModelSlot slot, long created) {
        Lacuna open = slot.peek();
        String status = slot.loading() ? "loading" : open == null ? "unloaded" : open.failure() == null ? "loaded" : "failed";
        return new Replies.Model(slot.name(), "model", created, "lacuna", open == null ? null : open.context(),
                new Replies.ModelStatus(status));
    }

    @Override
    public void handle(Exchange x) {
        List<Replies.Model> all = models.all().stream().map(s -> describe(s, created)).toList();
        x.send(new Replies.ModelList("list", all));
    }
}
