package dev.lacuna.server;

import dev.lacuna.generate.FinishReason;
import dev.lacuna.generate.Generation;
import dev.lacuna.generate.GenerationException;
import dev.lacuna.generate.Piece;
import dev.lacuna.generate.Result;
import dev.lacuna.generate.Sampling;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * One request for text on its way: let in, waiting, running, ended. It ends early when the client goes, a time-out passes, the server closes, or one of
 * its generations fails; then all of them are cancelled.
 */
final class Answering {
    /** What one generation is asked for. */
    record Ask(int[] prompt, Sampling sampling) {}

    /** Told what comes, by the thread of the request. */
    interface Sink {
        /** The first generation has its turn. */
        void started();

        void piece(int choice, Piece piece);

        void ended(int choice, Result result);

        /** Nothing has come for a while. */
        void silence();
    }

    private static final long LONGEST_CANCEL = TimeUnit.SECONDS.toNanos(30); // a step of a large model

    private final Exchange x;
    private final ModelSlot.Lease lease;
    private final Admission admission;
    private final List<Ask> asks;
    private final ModelMetrics metrics;
    private final Semaphore news = new Semaphore(0);
    private final List<Generation> generations = new ArrayList<>();
    private volatile boolean gone;
    private volatile boolean closing;

    Answering(Exchange x, ModelSlot.Lease lease, Admission admission, List<Ask> asks) {
        this.x = x;
        this.lease = lease;
        this.admission = admission;
        this.asks = List.copyOf(asks);
        metrics = lease.slot().metrics;
    }

    /**
     * Generates all that was asked for.
     *
     * @throws ApiException        if it cannot be
     * @throws ClientGoneException if nobody waits for it any more
     */
    void run(Sink sink) throws InterruptedException {
        long tokens = asks.stream().mapToLong(a -> a.prompt().length).max().orElse(0);
        try (Admission.Ticket ticket = admit(tokens)) {
            metrics.accepted.increment();
            boolean[] over = new boolean[asks.size()];
            try {
                x.connection().answering(() -> {
                    gone = true;
                    news.release();
                });
                submit();
                follow(sink, ticket, over);
                metrics.completed.increment();
            } catch (ClientGoneException e) {
                metrics.cancelled.increment();
                throw e;
            } catch (Throwable t) {
                metrics.failed.increment();
                throw t;
            } finally {
                cancel(over);
            }
        }
    }

    private Admission.Ticket admit(long tokens) {
        try {
            return admission.admit(asks.size(), tokens, () -> {
                closing = true;
                news.release();
            });
        } catch (ApiException e) {
            metrics.refused.increment();
            throw e;
        }
    }

    private void submit() {
        try {
            for (Ask a : asks) generations.add(lease.model.generate(a.prompt(), a.sampling(), x.client()));
        } catch (IllegalStateException e) {
            throw stopped();
        }
        for (Generation g : generations) g.listen(news::release);
    }

    private static ApiException stopped() {
        return ApiException.unavailable("model_stopped", "the model was stopped; try again", 5);
    }

    private void follow(Sink sink, Admission.Ticket ticket, boolean[] over) throws InterruptedException {
        long begun = System.nanoTime();
        long queueEnd = begun + x.limits().queueTimeout().toNanos();
        long end = begun + x.limits().generationTimeout().toNanos();
        boolean[] started = new boolean[over.length];
        boolean any = false;
        boolean spoken = false;
        long lastSent = begun;
        for (int left = over.length; left > 0;) {
            long silence = (spoken ? x.limits().keepAlive() : x.limits().ping()).toNanos();
            long now = System.nanoTime();
            long wait = Math.min(lastSent + silence, any ? end : Math.min(queueEnd, end)) - now;
            if (news.tryAcquire(Math.max(wait, 0), TimeUnit.NANOSECONDS)) news.drainPermits();
            if (gone) throw new ClientGoneException();
            if (closing) throw Admission.closing();
            boolean sent = false;
            for (int i = 0; i < over.length; i++) {
                if (over[i]) continue;
                Generation g = generations.get(i);
                boolean done = g.done(); // asked before the last piece is looked for
                if (!started[i] && (g.started() || done)) {
                    started[i] = true;
                    ticket.started();
                    if (!any) sink.started();
                    any = true;
                }
                for (Piece p = g.poll(); p != null; p = g.poll()) {
                    sink.piece(i, p);
                    sent = true;
                    spoken = true;
                }
                if (done) {
                    over[i] = true;
                    left--;
                    sink.ended(i, result(g));
                    sent = true;
                }
            }
            now = System.nanoTime();
            if (left > 0) check(now, any, queueEnd, end);
            if (sent) {
                lastSent = now;
            } else if (now - lastSent >= silence) {
                if (any) sink.silence();
                lastSent = now;
            }
        }
    }

    private void check(long now, boolean started, long queueEnd, long end) {
        if (now - end >= 0) {
            throw ApiException.slow("the generation took longer than " + x.limits().generationTimeout().toSeconds() + " s and was ended");
        }
        if (!started && now - queueEnd >= 0) {
            throw ApiException.unavailable("queue_timeout",
                    "no turn came within " + x.limits().queueTimeout().toSeconds() + " s; try again later",
                    Admission.seconds(x.limits().queueTimeout()));
        }
    }

    private Result result(Generation g) {
        Result r = ended(g);
        if (r == null) throw ApiException.failed("the generation failed; the server's log has more under " + x.id);
        metrics.add(r);
        if (r.finishReason() == FinishReason.CANCELLED) throw stopped();
        return r;
    }

    /** The result of what has ended; null where it failed. */
    private @Nullable Result ended(Generation g) {
        try {
            return g.result();
        } catch (GenerationException e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            System.getLogger(LacunaServer.LOG).log(System.Logger.Level.WARNING, "{0}: the generation failed with {1}", x.id,
                    cause.getClass().getName());
            System.getLogger(LacunaServer.LOG).log(System.Logger.Level.DEBUG, x.id, cause);
            return null;
        }
    }

    /** Cancels what still runs and waits until it has ended: then its place in the cache is free. */
    private void cancel(boolean[] over) throws InterruptedException {
        for (Generation g : generations) g.cancel();
        long until = System.nanoTime() + LONGEST_CANCEL;
        for (int i = 0; i < generations.size(); i++) {
            Generation g = generations.get(i);
            if (over[i]) continue;
            while (!g.done() && until - System.nanoTime() > 0) {
                if (news.tryAcquire(until - System.nanoTime(), TimeUnit.NANOSECONDS)) news.drainPermits();
            }
            Result r = g.done() ? ended(g) : null;
            if (r != null) metrics.add(r);
        }
    }
}
