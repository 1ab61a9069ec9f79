package dev.lacuna.generate;

import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import org.jspecify.annotations.Nullable;

/**
 * A text that is being generated: iterate over its pieces as they come, or ask for the {@link #result}. Pieces are whole characters. One reader at a
 * time; {@link #cancel} may be called from anywhere.
 */
public final class Generation implements Iterable<String>, AutoCloseable {
    private static final Object END = new Object();

    private final LinkedBlockingQueue<Object> pieces = new LinkedBlockingQueue<>();
    private final CompletableFuture<Result> result = new CompletableFuture<>();
    private volatile boolean cancelled;
    private volatile boolean started;
    private volatile @Nullable Runnable listener;

    Generation() {}

    /** Stops within one token; what was generated until then stays readable. */
    public void cancel() {
        cancelled = true;
    }

    boolean cancelled() {
        return cancelled;
    }

    /**
     * Waits for the end.
     *
     * @throws GenerationException if the engine failed
     */
    public Result result() {
        try {
            return result.get();
        } catch (InterruptedException e) {
            cancel();
            Thread.currentThread().interrupt();
            throw new GenerationException("interrupted while waiting for a generation; it was cancelled", e);
        } catch (ExecutionException e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            throw new GenerationException("the generation failed: " + cause.getMessage(), cause);
        }
    }

    public boolean done() {
        return result.isDone();
    }

    /** Whether its prompt is being computed or is done; false while it waits for its turn. */
    public boolean started() {
        return started;
    }

    void start() {
        started = true;
        tell();
    }

    /**
     * Has something run, by the engine's own thread, whenever there is news: the generation has started, a piece has come, or it has ended. It must
     * return at once and throw nothing; it also runs once now.
     */
    public void listen(Runnable news) {
        listener = news;
        news.run();
    }

    private void tell() {
        Runnable news = listener;
        if (news != null) news.run();
    }

    /** The next piece if there is one by now; for who does not want to wait. Whether more can come tells {@link #done}, asked before. */
    public @Nullable Piece poll() {
        Object next = pieces.poll();
        if (next != END) return (Piece) next;
        pieces.add(END);
        return null;
    }

    /** The pieces from now on; the iterator waits for each, and throws {@link GenerationException} if the engine failed. */
    @Override
    public Iterator<String> iterator() {
        return new Pieces();
    }

    private final class Pieces implements Iterator<String> {
        private @Nullable Object next;

        @Override
        public boolean hasNext() {
            if (next == null) {
                try {
                    next = pieces.take();
                } catch (InterruptedException e) {
                    cancel();
                    Thread.currentThread().interrupt();
                    throw new GenerationException("interrupted while waiting for a piece; the generation was cancelled", e);
                }
            }
            if (next != END) return true;
            pieces.add(END);
            if (result.isCompletedExceptionally()) result();
            return false;
        }

        @Override
        public String next() {
            if (!hasNext()) throw new NoSuchElementException();
            Piece piece = (Piece) next;
            next = null;
            if (piece == null) throw new NoSuchElementException();
            return piece.text();
        }
    }

    void emit(Piece piece) {
        if (piece.text().isEmpty() && piece.logprobs().isEmpty()) return;
        pieces.add(piece);
        tell();
    }

    void finish(Result r) {
        result.complete(r);
        pieces.add(END);
        tell();
    }

    void fail(Throwable t) {
        result.completeExceptionally(t);
        pieces.add(END);
        tell();
    }

    /** Cancels it. */
    @Override
    public void close() {
        cancel();
    }
}
