package dev.lacuna.server;

/** One of the models. */
final class ModelRoute implements Route {
    private static final String PREFIX = "/v1/models/";

    private final Models models;
    private final long created;

    ModelRoute(Models models, long created) {
        this.models = models;
        this.created = created;
    }

    @Override
    public String method() {
        return "GET";
    }

    @Override
    public String path() {
        return PREFIX + "*"; // names may have slashes
    }

    @Override
    public void handle(Exchange x) {
        x.send(ModelsRoute.describe(models.named(x.path().substring(PREFIX.length())), created));
    }
}
