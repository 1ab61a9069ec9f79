package dev.lacuna.server;

import dev.lacuna.Lacuna;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/** One of the models that are served: not loaded, being loaded, or open and used by so many. */
final class ModelSlot {
    private final ServedModel served;
    private final boolean own; // whether it may be closed
    final ModelMetrics metrics = new ModelMetrics();
    private @Nullable CompletableFuture<Lacuna> loading;
    private @Nullable Lacuna open;
    private int users;
    private long lastUse = System.nanoTime();

    ModelSlot(ServedModel served, boolean own) {
        this.served = served;
        this.own = own;
    }

    String name() {
        return served.name();
    }

    /** A model in use, which is not unloaded until this is closed. */
    final class Lease implements AutoCloseable {
        final Lacuna model;
        private boolean returned;

        private Lease(Lacuna model) {
            this.model = model;
        }

        ModelSlot slot() {
            return ModelSlot.this;
        }

        @Override
        public void close() {
            synchronized (ModelSlot.this) {
                if (returned) return;
                returned = true;
                users--;
                lastUse = System.nanoTime();
            }
        }
    }

    /** The model, if it is open and well. */
    synchronized @Nullable Lease tryLease() {
        Lacuna model = open;
        if (model == null || model.failure() != null) return null;
        users++;
        return new Lease(model);
    }

    /** The open model, to look at. */
    synchronized @Nullable Lacuna peek() {
        return open;
    }

    synchronized boolean healthy() {
        return open != null && open.failure() == null;
    }

    synchronized boolean loading() {
        return loading != null;
    }

    /**
     * Starts loading it unless that goes on already, and waits.
     *
     * @throws TimeoutException   if it takes longer; loading goes on
     * @throws ExecutionException if it cannot be loaded
     */
    void load(Loader loader, long nanos) throws InterruptedException, TimeoutException, ExecutionException {
        CompletableFuture<Lacuna> mine;
        synchronized (this) {
            if (healthy()) return;
            if (loading == null) {
                CompletableFuture<Lacuna> next = new CompletableFuture<>();
                loading = next;
                Thread.ofPlatform().daemon().name("lacuna-load").start(() -> load(loader, next));
            }
            mine = loading;
        }
        mine.get(nanos, TimeUnit.NANOSECONDS);
    }

    /** Opens a model when there is room for it. */
    interface Loader {
        Lacuna load(ServedModel model);
    }

    private void load(Loader loader, CompletableFuture<Lacuna> next) {
        try {
            Lacuna failed;
            synchronized (this) {
                failed = open;
                if (failed != null && !own) throw new IllegalStateException("its engine has failed", failed.failure());
                open = null;
            }
            if (failed != null) failed.close(); // its users have got their failures
            Lacuna model = loader.load(served);
            synchronized (this) {
                open = model;
                loading = null;
                lastUse = System.nanoTime();
            }
            next.complete(model);
        } catch (Throwable t) {
            synchronized (this) {
                loading = null;
            }
            next.completeExceptionally(t);
        }
    }

    /** Nanoseconds since its last use if it could be unloaded now; -1 if not. */
    synchronized long idle() {
        return own && open != null && users == 0 && loading == null ? System.nanoTime() - lastUse : -1;
    }

    /** Closes it if nobody uses it. */
    boolean unload() {
        Lacuna model;
        synchronized (this) {
            if (idle() < 0) return false;
            model = open;
            open = null;
        }
        if (model != null) model.close();
        return true;
    }

    /** Closes it whoever uses it. */
    void close() {
        Lacuna model;
        synchronized (this) {
            model = own ? open : null;
            open = null;
        }
        if (model != null) model.close();
    }
}
