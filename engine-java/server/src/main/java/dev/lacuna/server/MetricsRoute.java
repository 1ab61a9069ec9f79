package dev.lacuna.server;

import java.nio.charset.StandardCharsets;

/** Figures for Prometheus. Reads what others counted; waits for nobody. */
final class MetricsRoute implements Route {
    private final Models models;
    private final Admission admission;
    private final Connections connections;
    private final HttpCounts counts;

    MetricsRoute(Models models, Admission admission, Connections connections, HttpCounts counts) {
        this.models = models;
        this.admission = admission;
        this.connections = connections;
        this.counts = counts;
    }

    @Override
    public String method() {
        return "GET";
    }

    @Override
    public String path() {
        return "/metrics";
    }

    @Override
    public void handle(Exchange x) {
        PrometheusText text = new PrometheusText();
        for (ModelSlot s : models.all()) s.metrics.write(text, s.name(), s.peek());
        text.single("lacuna_requests_admitted", "gauge", "Requests for text that wait or run", admission.admitted());
        text.single("lacuna_queue_generations", "gauge", "Generations that wait for their turn", admission.waiting());
        text.single("lacuna_queue_prompt_tokens", "gauge", "Prompt tokens that wait for their turn", (double) admission.waitingTokens());
        text.single("lacuna_connections", "gauge", "Open connections", connections.size());
        text.type("lacuna_http_responses_total", "counter", "Answers by status; 0: the client left before there was one");
        counts.all().forEach((status, n) -> text.value("lacuna_http_responses_total", (double) n, "code", Integer.toString(status)));
        Runtime runtime = Runtime.getRuntime();
        text.single("jvm_memory_used_bytes", "gauge", "Bytes of the Java heap in use",
                (double) (runtime.totalMemory() - runtime.freeMemory()), "area",
                "heap");
        x.send(200, "text/plain; version=0.0.4; charset=utf-8", text.toString().getBytes(StandardCharsets.UTF_8));
    }
}
