package dev.lacuna.server;

import dev.lacuna.Lacuna;
import dev.lacuna.generate.Piece;
import dev.lacuna.generate.Result;
import dev.lacuna.generate.TokenLogprob;
import dev.lacuna.text.Message;
import dev.lacuna.text.ThinkingSplitter;
import dev.lacuna.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Answers of a chat, thinking apart from what is meant for the reader. */
final class ChatCollector implements TextRoute.Collector {
    private final TextRoute.Asked asked;
    private final Tokenizer tokenizer;
    private final boolean logprobs;
    private final List<State> states = new ArrayList<>();
    private final List<Object> events = new ArrayList<>();

    /** One of the answers. */
    private static final class State {
        final ThinkingSplitter splitter;
        final StringBuilder answer = new StringBuilder();
        final StringBuilder thinking = new StringBuilder();
        final List<TokenLogprob> tokens = new ArrayList<>(); // not told yet, where this is a stream
        String finish = "stop";

        State(ThinkingSplitter splitter) {
            this.splitter = splitter;
        }
    }

    ChatCollector(TextRoute.Asked asked, Lacuna model, List<Message> messages, boolean logprobs) {
        this.asked = asked;
        this.logprobs = logprobs;
        tokenizer = model.tokenizer();
        for (int c = 0; c < asked.choices; c++) {
            states.add(new State(model.splitter(messages)));
            if (asked.stream) events.add(chunk(c, new Replies.Delta("assistant", "", null), null, null));
        }
    }

    private Replies.ChatChunk chunk(int choice, Replies.Delta delta, Replies.@Nullable ChatLogprobs tokens, @Nullable String finish) {
        var only = new Replies.ChunkChoice(choice, delta, tokens, finish);
        return new Replies.ChatChunk(asked.id, "chat.completion.chunk", asked.created, asked.model, TextRoute.FINGERPRINT, List.of(only),
                null);
    }

    @Override
    public void piece(int choice, Piece piece) {
        State s = states.get(choice);
        s.tokens.addAll(piece.logprobs());
        take(choice, s, s.splitter.add(piece.text()));
    }

    private void take(int choice, State s, List<ThinkingSplitter.Part> parts) {
        for (ThinkingSplitter.Part p : parts) {
            boolean thinking = p.kind() == ThinkingSplitter.Kind.THINKING;
            (thinking ? s.thinking : s.answer).append(p.text());
            if (!asked.stream) continue;
            events.add(chunk(choice, thinking ? new Replies.Delta(null, null, p.text()) : new Replies.Delta(null, p.text(), null), told(s),
                    null));
        }
    }

    private Replies.@Nullable ChatLogprobs told(State s) {
        if (!logprobs) return null;
        Replies.ChatLogprobs told = Choice.chat(tokenizer, s.tokens);
        s.tokens.clear();
        return told;
    }

    @Override
    public void ended(int choice, Result result) {
        State s = states.get(choice);
        take(choice, s, s.splitter.finish());
        s.finish = Choice.finish(result);
        if (asked.stream) events.add(chunk(choice, new Replies.Delta(null, null, null), s.tokens.isEmpty() ? null : told(s), s.finish));
    }

    @Override
    public List<Object> events() {
        List<Object> now = List.copyOf(events);
        events.clear();
        return now;
    }

    @Override
    public Object reply(Replies.Usage usage) {
        List<Replies.ChatChoice> choices = new ArrayList<>();
        for (int c = 0; c < states.size(); c++) {
            State s = states.get(c);
            var message = new Replies.ChatMessage("assistant", s.answer.toString(), s.thinking.isEmpty() ? null : s.thinking.toString(),
                    null);
            choices.add(new Replies.ChatChoice(c, message, told(s), s.finish));
        }
        return new Replies.ChatCompletion(asked.id, "chat.completion", asked.created, asked.model, TextRoute.FINGERPRINT, choices, usage);
    }

    @Override
    public Object usage(Replies.Usage usage) {
        return new Replies.ChatChunk(asked.id, "chat.completion.chunk", asked.created, asked.model, TextRoute.FINGERPRINT, List.of(),
                usage);
    }
}
