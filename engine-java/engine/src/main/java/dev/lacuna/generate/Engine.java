package dev.lacuna.generate;

import dev.lacuna.model.Decoder;
import dev.lacuna.model.ForwardPass;
import dev.lacuna.model.KvCache;
import dev.lacuna.ops.Batch;
import dev.lacuna.ops.KvPool;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.Limits;
import dev.lacuna.text.Tokenizer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import org.jspecify.annotations.Nullable;

/**
 * The one loop that touches a model's tensors. Each turn takes what has arrived, builds a batch (a row for each sequence that decodes, then chunks of
 * prompts), runs one step, and hands out tokens. Cancellation is looked at between steps.
 */
public final class Engine implements AutoCloseable {
    private final Decoder decoder;
    private final Tokenizer tokenizer;
    private final EngineOptions options;
    private final KvPool pool;
    private final ForwardPass pass;
    private final Batch batch;
    private final KvCache cache;
    private final LinkedBlockingQueue<Runnable> inbox = new LinkedBlockingQueue<>();
    private final ArrayDeque<Request> waiting = new ArrayDeque<>();
    private final List<Request> running = new ArrayList<>();
    private final Thread loop;
    private volatile boolean closing;
    private volatile @Nullable Throwable failure;
    private volatile EngineStats stats;
    private boolean closed;

    public Engine(Decoder decoder, Tokenizer tokenizer, EngineOptions options) {
        this.decoder = decoder;
        this.tokenizer = tokenizer;
        this.options = options;
        Limits limits = new Limits(options.batchRows(), options.batchSeqs(), options.batchSeqs(), KvSpec.blocksFor(options.context()));
        pool = decoder.ops().kv(decoder.spec().kv(options.kv()), options.blocks());
        pass = openPass(limits);
        batch = new Batch(limits);
        cache = new KvCache(pool.blocks(), pool::copyBlock);
        stats = new EngineStats(0, 0, 0, 0, cache.capacity());
        loop = Thread.ofPlatform().daemon().name("lacuna-engine").unstarted(this::loop);
        loop.start();
    }

    private ForwardPass openPass(Limits limits) {
        try {
            return decoder.pass(limits, pool);
        } catch (RuntimeException | OutOfMemoryError e) {
            pool.close();
            throw e;
        }
    }

    public EngineOptions options() {
        return options;
    }

    /** What it was doing after its last step; never waits. */
    public EngineStats stats() {
        return stats;
    }

    /** What ended the loop unasked, after which nothing can be submitted any more; null while all is well. */
    public @Nullable Throwable failure() {
        return failure;
    }

    /** Bytes of cache and operands. */
    public long bytes() {
        return pool.bytes() + pass.bytes();
    }

    /**
     * Generates after a prompt.
     *
     * @param prompt token ids, the beginning-of-sequence token among them where the model wants it
     * @throws ContextFullException     if the prompt leaves no room for an answer
     * @throws IllegalArgumentException if it is empty or has an unknown token
     * @throws IllegalStateException    if the engine is closed or has failed
     */
    public Generation submit(int[] prompt, Sampling sampling) {
        return submit(prompt, sampling, "");
    }

    /**
     * Generates after a prompt, for one of several who must not learn of each other.
     *
     * @param namespace prefixes in the cache are shared only among requests of equal namespaces; keep their number small
     */
    public Generation submit(int[] prompt, Sampling sampling, String namespace) {
        if (prompt.length == 0) throw new IllegalArgumentException("the prompt has no tokens");
        for (int id : prompt) {
            if (id < 0 || id >= tokenizer.size())
                throw new IllegalArgumentException("the prompt has token " + id + " of " + tokenizer.size());
        }
        for (int id : sampling.logitBias().keySet()) {
            if (id < 0 || id >= tokenizer.size())
                throw new IllegalArgumentException("there is a bias for token " + id + " of " + tokenizer.size());
        }
        if (prompt.length >= options.context()) throw new ContextFullException(prompt.length, options.context());
        Request r = new Request(prompt.clone(), sampling, namespace, tokenizer, options.context());
        post(() -> waiting.add(r), () -> end(r));
        return r.generation;
    }

    /**
     * Runs something that uses the kernels between two steps, and waits for it.
     *
     * @throws GenerationException   if the caller is interrupted, or what failed was a checked exception
     * @throws IllegalStateException if the engine is closed
     */
    public <T> T call(Callable<T> task) {
        CompletableFuture<T> done = new CompletableFuture<>();
        post(() -> {
            try {
                done.complete(task.call());
            } catch (Throwable t) {
                done.completeExceptionally(t);
            }
        }, () -> done.completeExceptionally(new IllegalStateException("the model was closed")));
        try {
            return done.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new GenerationException("interrupted", e);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException r) throw r;
            Throwable cause = e.getCause() == null ? e : e.getCause();
            throw new GenerationException(String.valueOf(cause.getMessage()), cause);
        }
    }

    private final Object gate = new Object();

    /** Work for the loop; {@code abandon} runs instead if the engine closes first. */
    private record Work(Runnable task, Runnable abandon) implements Runnable {
        @Override
        public void run() {
            task.run();
        }
    }

    private void post(Runnable task, Runnable abandon) {
        synchronized (gate) {
            if (failure != null) throw new IllegalStateException("the engine has failed: " + failure, failure);
            if (closing) throw new IllegalStateException("the model is closed");
            inbox.add(new Work(task, abandon));
        }
    }

    // ---- the loop

    private void loop() {
        Throwable cause = new IllegalStateException("the engine's thread was interrupted");
        try {
            while (!closing) {
                receive();
                admit();
                step();
                stats = new EngineStats(running.size(), waiting.size(), cache.inUse(), cache.idle(), cache.capacity());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt(); // the loop ends as after any other failure
        } catch (Throwable t) {
            cause = t;
        }
        synchronized (gate) {
            if (!closing) failure = cause;
        }
        for (Request r : running) {
            r.sequence().discard();
            end(r);
        }
        running.clear();
        waiting.forEach(this::end);
        waiting.clear();
        for (Runnable w = inbox.poll(); w != null; w = inbox.poll()) {
            if (w instanceof Work work) work.abandon.run();
        }
        stats = new EngineStats(0, 0, 0, 0, cache.capacity());
    }

    /** Ends what the loop does not come to any more. */
    private void end(Request r) {
        Throwable cause = failure;
        if (cause == null) {
            r.finish(FinishReason.CANCELLED, options.context());
        } else {
            r.generation.fail(cause);
        }
    }

    private void receive() throws InterruptedException {
        if (Thread.interrupted()) throw new InterruptedException();
        if (running.isEmpty() && waiting.isEmpty()) inbox.take().run();
        for (Runnable w = inbox.poll(); w != null; w = inbox.poll()) w.run();
    }

    /** Drops what was cancelled, then starts what fits, first come first served. */
    private void admit() {
        for (Iterator<Request> i = running.iterator(); i.hasNext();) {
            Request r = i.next();
            if (r.generation.cancelled()) {
                i.remove();
                r.sequence().release();
                r.finish(FinishReason.CANCELLED, options.context());
            }
        }
        waiting.removeIf(r -> {
            if (r.generation.cancelled()) r.finish(FinishReason.CANCELLED, options.context());
            return r.generation.cancelled();
        });
        while (!waiting.isEmpty() && running.size() < options.batchSeqs()) {
            KvCache.Sequence s = cache.open(waiting.peek().prompt, waiting.peek().positions(), waiting.peek().namespace);
            if (s == null) break;
            Request r = waiting.remove();
            r.start(s);
            running.add(r);
        }
    }

    private void step() {
        if (running.isEmpty()) return;
        List<Request> asking = new ArrayList<>();
        try {
            fill(asking);
            pass.run(batch);
            boolean plain = asking.stream().allMatch(Request::plain);
            int[] best = asking.isEmpty() ? new int[0] : pass.best();
            float[] logits = plain ? null : pass.logits();
            for (Request r : running) r.sequence().commit();
            for (int i = 0; i < asking.size(); i++) choose(asking.get(i), best[i], logits, i);
        } catch (RuntimeException | Error e) {
            // what this step wrote cannot be trusted: its requests fail, the engine goes on
            for (Request r : running) {
                r.sequence().discard();
                r.generation.fail(e);
            }
            running.clear();
        }
    }

    /** Lets a request take its row; if it cannot, it fails alone. */
    private void choose(Request r, int best, float @Nullable [] logits, int row) {
        try {
            FinishReason end = r.choose(best, r.plain() ? null : logits, row);
            if (end != null) finish(r, end);
        } catch (RuntimeException | Error e) {
            running.remove(r);
            r.sequence().release();
            r.generation.fail(e);
        }
    }

    private void finish(Request r, FinishReason reason) {
        running.remove(r);
        r.sequence().release();
        r.finish(reason, options.context());
    }

    /** Rows of the step: one for each sequence that decodes, then what is left for prompts in the order of arrival. */
    private void fill(List<Request> asking) {
        int[] rows = new int[running.size()];
        int left = options.batchRows();
        for (int i = 0; i < rows.length; i++) {
            if (running.get(i).pending() == 1) {
                rows[i] = 1;
                left--;
            }
        }
        for (int i = 0; i < rows.length && left > 0; i++) {
            if (rows[i] == 0) {
                rows[i] = Math.min(left, running.get(i).pending());
                left -= rows[i];
            }
        }
        int most = 1;
        int total = 0;
        List<int[]> tokens = new ArrayList<>();
        for (int i = 0; i < rows.length; i++) {
            Request r = running.get(i);
            int[] ids = new int[rows[i]];
            for (int t = 0; t < ids.length; t++) {
                ids[t] = r.next();
                r.sequence().append(ids[t]);
            }
            tokens.add(ids);
            most = Math.max(most, r.sequence().blocks());
            total += ids.length;
        }
        // few distinct shapes, so that a device that captures steps records few
        batch.clear(Math.min(batch.limits().kvBlocks(), roundUp(most)));
        for (int i = 0; i < rows.length; i++) {
            if (rows[i] == 0) continue;
            Request r = running.get(i);
            batch.addSequence(r.sequence().table(), r.sequence().blocks());
            int first = r.sequence().length() - rows[i];
            for (int t = 0; t < rows[i]; t++) {
                boolean last = t == rows[i] - 1 && r.pending() == 0;
                batch.addRow(tokens.get(i)[t], first + t, last);
                if (last) asking.add(r);
            }
        }
        if (decoder.ops().captures()) {
            for (int p = total; p < Math.min(roundUp(total), options.batchRows()); p++) batch.addPadding();
        }
    }

    private static int roundUp(int n) {
        return Integer.highestOneBit(Math.max(1, 2 * n - 1));
    }

    // ---- scoring

    /**
     * The negative log-likelihood (natural logarithm) of each token after the first, summed, from an empty cache.
     *
     * @param tokens one window, at most the context
     * @param decode whether to feed token by token, as decoding does, instead of in chunks
     */
    public double score(int[] tokens, boolean decode) {
        if (tokens.length < 2 || tokens.length > options.context()) {
            throw new IllegalArgumentException("a window of " + tokens.length + " tokens; 2 to " + options.context() + " can be scored");
        }
        return call(() -> Scoring.nll(decoder, options, tokens, decode));
    }

    /** Blocks that running generations hold. */
    public int blocksInUse() {
        return call(cache::inUse);
    }

    /** Forgets the prefixes that nobody uses. */
    public void forget() {
        call(() -> {
            cache.forget();
            return true;
        });
    }

    /** Ends all generations, stops the loop and frees cache and operands; idempotent. */
    @Override
    public void close() {
        synchronized (gate) {
            if (closed) return;
            closed = true;
            closing = true;
        }
        inbox.add(() -> {});
        boolean interrupted = false;
        while (loop.isAlive() && loop != Thread.currentThread()) {
            try {
                loop.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        pass.close();
        pool.close();
        if (interrupted) Thread.currentThread().interrupt();
    }
}
