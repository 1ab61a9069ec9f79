package dev.lacuna.server;

import dev.lacuna.Lacuna;
import dev.lacuna.generate.Piece;
import dev.lacuna.generate.Result;
import dev.lacuna.generate.Sampling;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** What chat and completions have in common: model, admission, one answer or a stream of them. */
abstract class TextRoute implements Route {
    static final String FINGERPRINT = "lacuna";

    private final Models models;
    private final Admission admission;

    TextRoute(Models models, Admission admission) {
        this.models = models;
        this.admission = admission;
    }

    @Override
    public String method() {
        return "POST";
    }

    /** What was asked. */
    static final class Asked {
        final long created = Instant.now().getEpochSecond();
        final String id;
        final String model;
        final boolean stream;
        final boolean usage;
        final int choices; // of each prompt
        final List<Answering.Ask> asks = new ArrayList<>();

        Asked(String id, String model, boolean stream, boolean usage, int choices) {
            this.id = id;
            this.model = model;
            this.stream = stream;
            this.usage = usage;
            this.choices = choices;
        }

        /** The same prompt for each choice; each draws other numbers. */
        void add(int[] prompt, Sampling sampling, int context) {
            if (prompt.length == 0) throw ApiException.invalid("prompt", "the prompt has no tokens");
            if (prompt.length >= context) {
                throw ApiException
                        .tooLong("the prompt has " + prompt.length + " tokens, the context holds " + context + " with the answer");
            }
            for (int c = 0; c < choices; c++) asks.add(new Answering.Ask(prompt, sampling.withSeed(sampling.seed() + c)));
        }
    }

    /** Makes an answer of what comes. */
    interface Collector {
        void piece(int choice, Piece piece);

        void ended(int choice, Result result);

        /** Events to be sent now, if this is a stream: asked for after each of the above, and first when the stream begins. */
        List<Object> events();

        /** The whole answer. */
        Object reply(Replies.Usage usage);

        /** The event that tells the tokens of all. */
        Object usage(Replies.Usage usage);
    }

    /** Reads the fields of the route and adds what is to be generated. */
    abstract Collector read(Exchange x, Fields f, Lacuna model, Asked asked, Set<String> unknown);

    abstract String idPrefix();

    @Override
    public void handle(Exchange x) throws Exception {
        Fields f = x.json();
        boolean stream = f.bool("stream", false);
        boolean usage = usage(f, stream);
        ModelSlot slot = models.named(f.string("model"));
        try (ModelSlot.Lease lease = models.lease(slot, x.limits().queueTimeout())) {
            int n = f.whole("n", 1, x.limits().choices(), 1);
            Asked asked = new Asked(idPrefix() + x.id, slot.name(), stream, usage, n);
            Set<String> unknown = new TreeSet<>();
            Collector collector = read(x, f, lease.model, asked, unknown);
            unknown.addAll(f.unknown());
            x.ignored(unknown);
            Answering answering = new Answering(x, lease, admission, asked.asks);
            if (stream) {
                stream(x, answering, collector, asked);
            } else {
                Whole whole = new Whole(collector, asked.asks.size());
                answering.run(whole);
                x.send(collector.reply(Choice.usage(whole.results(), asked.choices)));
            }
        }
    }

    private static boolean usage(Fields f, boolean stream) {
        Fields options = f.object("stream_options");
        if (options == null) return false;
        if (!stream) throw f.wrong("stream_options", "has a meaning only where stream is true");
        options.accept("include_obfuscation");
        return options.bool("include_usage", false);
    }

    private static void stream(Exchange x, Answering answering, Collector collector, Asked asked) throws InterruptedException {
        Stream sink = new Stream(x, collector, asked.asks.size());
        try {
            answering.run(sink);
            EventStream events = sink.open();
            if (asked.usage) events.send(collector.usage(Choice.usage(sink.results(), asked.choices)));
            events.done();
            events.close();
        } catch (ApiException e) {
            EventStream events = sink.events;
            if (events == null) throw e; // nothing was sent: an answer of its own
            events.send(e.reply());
            events.done();
            events.close();
        }
    }

    /** Keeps results in the order of the choices. */
    private static class Whole implements Answering.Sink {
        final Collector collector;
        private final @Nullable Result[] results;

        Whole(Collector collector, int n) {
            this.collector = collector;
            results = new Result[n];
        }

        List<Result> results() {
            List<Result> all = new ArrayList<>();
            for (Result r : results) {
                if (r != null) all.add(r);
            }
            return all;
        }

        @Override
        public void started() {
            // nothing to tell before the end
        }

        @Override
        public void piece(int choice, Piece piece) {
            collector.piece(choice, piece);
        }

        @Override
        public void ended(int choice, Result result) {
            results[choice] = result;
            collector.ended(choice, result);
        }

        @Override
        public void silence() {
            // the client's connection is watched
        }
    }

    /** Sends what comes at once. */
    private static final class Stream extends Whole {
        private final Exchange x;
        private @Nullable EventStream events;

        Stream(Exchange x, Collector collector, int n) {
            super(collector, n);
            this.x = x;
        }

        /** The stream; it begins when the first generation has its turn, so that who gets none can still be told so by a status. */
        EventStream open() {
            EventStream open = events;
            if (open == null) {
                open = x.events();
                events = open;
            }
            return open;
        }

        private void flush() {
            EventStream to = open();
            for (Object event : collector.events()) to.send(event);
        }

        @Override
        public void started() {
            flush();
        }

        @Override
        public void piece(int choice, Piece piece) {
            super.piece(choice, piece);
            flush();
        }

        @Override
        public void ended(int choice, Result result) {
            super.ended(choice, result);
            flush();
        }

        @Override
        public void silence() {
            open().ping();
        }
    }
}
