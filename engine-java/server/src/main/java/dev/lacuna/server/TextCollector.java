package dev.lacuna.server;

import dev.lacuna.generate.Piece;
import dev.lacuna.generate.Result;
import dev.lacuna.generate.TokenLogprob;
import dev.lacuna.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Plain continuations. */
final class TextCollector implements TextRoute.Collector {
    private final TextRoute.Asked asked;
    private final Tokenizer tokenizer;
    private final boolean logprobs;
    private final List<State> states = new ArrayList<>();
    private final List<Object> events = new ArrayList<>();

    /** One of the texts. */
    private static final class State {
        final StringBuilder text = new StringBuilder();
        final List<TokenLogprob> tokens = new ArrayList<>();
        String finish = "stop";
    }

    TextCollector(TextRoute.Asked asked, Tokenizer tokenizer, boolean logprobs) {
        this.asked = asked;
        this.tokenizer = tokenizer;
        this.logprobs = logprobs;
        for (int i = 0; i < asked.asks.size(); i++) states.add(new State());
    }

    private Replies.Completion completion(List<Replies.TextChoice> choices, Replies.@Nullable Usage usage) {
        return new Replies.Completion(asked.id, "text_completion", asked.created, asked.model, TextRoute.FINGERPRINT, choices, usage);
    }

    @Override
    public void piece(int choice, Piece piece) {
        State s = states.get(choice);
        if (asked.stream) {
            var tokens = logprobs ? Choice.text(tokenizer, piece.logprobs(), s.text.length()) : null;
            events.add(completion(List.of(new Replies.TextChoice(choice, piece.text(), tokens, null)), null));
        }
        s.text.append(piece.text());
        s.tokens.addAll(piece.logprobs());
    }

    @Override
    public void ended(int choice, Result result) {
        State s = states.get(choice);
        s.finish = Choice.finish(result);
        if (asked.stream) events.add(completion(List.of(new Replies.TextChoice(choice, "", null, s.finish)), null));
    }

    @Override
    public List<Object> events() {
        List<Object> now = List.copyOf(events);
        events.clear();
        return now;
    }

    @Override
    public Object reply(Replies.Usage usage) {
        List<Replies.TextChoice> choices = new ArrayList<>();
        for (int c = 0; c < states.size(); c++) {
            State s = states.get(c);
            choices.add(new Replies.TextChoice(c, s.text.toString(), logprobs ? Choice.text(tokenizer, s.tokens, 0) : null, s.finish));
        }
        return completion(choices, usage);
    }

    @Override
    public Object usage(Replies.Usage usage) {
        return completion(List.of(), usage);
    }
}
