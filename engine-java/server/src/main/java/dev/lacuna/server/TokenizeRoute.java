package dev.lacuna.server;

import dev.lacuna.Lacuna;
import dev.lacuna.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;

/** Token ids of a text; the fields of llama-server and of vLLM both. */
final class TokenizeRoute implements Route {
    private final Models models;

    TokenizeRoute(Models models) {
        this.models = models;
    }

    @Override
    public String method() {
        return "POST";
    }

    @Override
    public String path() {
        return "/tokenize";
    }

    @Override
    public void handle(Exchange x) throws Exception {
        Fields f = x.json();
        String prompt = f.string("prompt");
        String text = prompt == null ? f.required("content") : prompt;
        f.accept("content");
        boolean special = f.bool("add_special_tokens", f.bool("add_special", false));
        boolean parse = f.bool("parse_special", true);
        boolean pieces = f.bool("with_pieces", false);
        try (ModelSlot.Lease lease = models.lease(models.named(f.string("model")), x.limits().queueTimeout())) {
            Lacuna model = lease.model;
            Tokenizer tokenizer = model.tokenizer();
            int[] ids = special ? model.encode(text) : tokenizer.encode(text, parse);
            x.ignored(f.unknown());
            x.send(new Replies.Tokens(ids, ids.length, model.context(), pieces ? spelled(tokenizer, ids) : null));
        }
    }

    private static List<String> spelled(Tokenizer tokenizer, int[] ids) {
        List<String> pieces = new ArrayList<>();
        for (int id : ids) pieces.add(tokenizer.piece(id));
        return pieces;
    }
}
