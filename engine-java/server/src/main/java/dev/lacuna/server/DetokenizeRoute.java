package dev.lacuna.server;

import tools.jackson.databind.JsonNode;

/** The text of token ids. */
final class DetokenizeRoute implements Route {
    private final Models models;

    DetokenizeRoute(Models models) {
        this.models = models;
    }

    @Override
    public String method() {
        return "POST";
    }

    @Override
    public String path() {
        return "/detokenize";
    }

    @Override
    public void handle(Exchange x) throws Exception {
        Fields f = x.json();
        JsonNode tokens = f.any("tokens");
        if (tokens == null || !tokens.isArray()) throw f.wrong("tokens", "must be a list of token ids");
        try (ModelSlot.Lease lease = models.lease(models.named(f.string("model")), x.limits().queueTimeout())) {
            var tokenizer = lease.model.tokenizer();
            String text = tokenizer.decode(TokenIds.read(f, "tokens", tokens, tokenizer.size()));
            x.ignored(f.unknown());
            x.send(new Replies.Text(text, text));
        }
    }
}
