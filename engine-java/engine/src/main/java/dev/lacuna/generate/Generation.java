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
            throw new GenerationException("the generation failed: " + e.getCause().getMessage(), e.getCause());
        }
    }

    public boolean done() {
        return result.isDone();
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
            String piece = (String) next;
            next = null;
            if (piece == null) throw new NoSuchElementException();
            return piece;
        }
    }

    void emit(String piece) {
        if (!piece.isEmpty()) pieces.add(piece);
    }

    void finish(Result r) {
        result.complete(r);
        pieces.add(END);
    }

    void fail(Throwable t) {
        result.completeExceptionally(t);
        pieces.add(END);
    }

    /** Cancels it. */
    @Override
    public void close() {
        cancel();
    }
}
