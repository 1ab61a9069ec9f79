package dev.lacuna;

import dev.lacuna.generate.ContextFullException;
import dev.lacuna.generate.Generation;
import dev.lacuna.generate.GenerationException;
import dev.lacuna.generate.Sampling;
import dev.lacuna.text.Message;
import dev.lacuna.text.ThinkingSplitter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A conversation. Its history is what was said, a cancelled answer as far as it came; the model's cache keeps what two turns have in common. One turn at
 * a time: a new one waits for the answer before it.
 */
public final class Chat implements AutoCloseable {
    /** Tokens that dropping old turns leaves for an answer, where the context has them. */
    private static final int ANSWER_ROOM = 512;

    private final Lacuna model;
    private final List<Message> messages = new ArrayList<>();
    private @Nullable String system;
    private @Nullable Generation answering;
    private List<Message> asked = List.of();
    private Sampling sampling = Sampling.GREEDY.withTemperature(0.6).withTopP(0.95).withMinP(0.05);
    private Overflow overflow = Overflow.REFUSE;

    /** What to do when a conversation outgrows the context. */
    public enum Overflow {
        /** Throw {@link ContextFullException}. */
        REFUSE,
        /** Forget the oldest turns, the system message excepted, until the rest fits. */
        DROP_OLDEST
    }

    Chat(Lacuna model, @Nullable String system) {
        this.model = model;
        this.system = system;
    }

    /** How the next answers are sampled; at first temperature 0.6, top-p 0.95, min-p 0.05. */
    public Chat sampling(Sampling s) {
        sampling = s;
        return this;
    }

    /** How the next answers are sampled. */
    public Sampling sampling() {
        return sampling;
    }

    /** What to do when the conversation outgrows the context; at first {@link Overflow#REFUSE}. */
    public Chat overflow(Overflow o) {
        overflow = o;
        return this;
    }

    /** Sets the system message of the whole conversation; null: none. */
    public void system(@Nullable String text) {
        system = text;
    }

    /** What was said so far, the system message first. */
    public List<Message> history() {
        settle();
        List<Message> all = new ArrayList<>();
        if (system != null) all.add(Message.system(system));
        all.addAll(messages);
        return all;
    }

    /** Forgets what was said; the system message stays. */
    public void clear() {
        settle();
        messages.clear();
    }

    /**
     * A splitter for the pieces of the answer that was asked for last: thinking apart from what is meant for the reader. The history keeps the two apart
     * as well, thinking as {@code reasoning_content} of its message.
     */
    public ThinkingSplitter splitter() {
        return model.splitter(asked);
    }

    /** Adds the answer before this turn to the history; one that failed was never said. */
    private void settle() {
        Generation last = answering;
        if (last == null) return;
        answering = null;
        String text;
        try {
            text = last.result().text();
        } catch (GenerationException e) {
            messages.removeLast();
            return;
        }
        ThinkingSplitter splitter = splitter();
        List<ThinkingSplitter.Part> parts = new ArrayList<>(splitter.add(text));
        parts.addAll(splitter.finish());
        StringBuilder thinking = new StringBuilder();
        StringBuilder answer = new StringBuilder();
        for (ThinkingSplitter.Part p : parts) (p.kind() == ThinkingSplitter.Kind.THINKING ? thinking : answer).append(p.text());
        messages.add(thinking.isEmpty()
                ? Message.assistant(answer.toString())
                : new Message(Message.ASSISTANT, answer.toString(), Map.of("reasoning_content", thinking.toString())));
    }

    /**
     * Says something and returns the answer as it comes.
     *
     * @throws ContextFullException if the conversation has outgrown the context and nothing may be dropped; the turn is then not part of the history
     */
    public Generation send(String text) {
        settle();
        messages.add(Message.user(text));
        try {
            Generation g = answer();
            answering = g;
            return g;
        } catch (RuntimeException e) {
            messages.removeLast();
            throw e;
        }
    }

    private Generation answer() {
        int[] prompt = model.encode(history());
        if (overflow == Overflow.DROP_OLDEST) {
            int room = model.context() - Math.min(model.context() / 4, ANSWER_ROOM);
            while (prompt.length > room && messages.size() >= 3) {
                messages.subList(0, 2).clear(); // a turn: question and answer
                prompt = model.encode(history());
            }
        }
        asked = history();
        return model.generate(prompt, sampling);
    }

    /** Cancels the answer that is being given, if any. */
    @Override
    public void close() {
        Generation last = answering;
        if (last != null) last.cancel();
    }
}
