package dev.lacuna.server;

/** Whether requests can be served now. */
final class HealthRoute implements Route {
    private final String path;
    private final Models models;
    private final Admission admission;

    HealthRoute(String path, Models models, Admission admission) {
        this.path = path;
        this.models = models;
        this.admission = admission;
    }

    @Override
    public String method() {
        return "GET";
    }

    @Override
    public String path() {
        return path;
    }

    @Override
    public void handle(Exchange x) {
        if (admission.draining()) throw Admission.closing();
        // a model that was unloaded comes back at its first use; one that failed alone does not count
        boolean failed = models.all().stream().allMatch(s -> s.peek() != null && !s.healthy());
        if (failed) throw ApiException.unavailable("model_failed", "the model's engine has failed", 5);
        if (!models.opened()) throw ApiException.unavailable("model_loading", "the model is being loaded", 1);
        x.send(new Replies.Health("ok"));
    }
}
