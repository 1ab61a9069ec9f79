package dev.lacuna.kernels.cpu;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The threads of the process that work on one operation at a time: the caller and {@code threads - 1} daemons, which spin briefly for the next
 * operation and then park. Parts are handed out one by one, so that a busy core stalls nobody, and a thread that wakes late is not waited for.
 */
final class Team {
    /** How long a thread looks for work before it parks: longer than the pause between two operations of a step, shorter than between steps. */
    private static final long SPIN_NANOS = 50_000;
    private static final Map<Integer, Team> TEAMS = new ConcurrentHashMap<>();

    private final int threads;
    private final Helper[] helpers;
    private final ReentrantLock lock = new ReentrantLock();
    private volatile @Nullable Job job;

    /** Work that is cut into parts. */
    interface Body {
        /**
         * Does one part.
         *
         * @param part   which part, 0 to parts - 1
         * @param worker who does it, 0 to threads - 1: nobody else has that number meanwhile
         */
        void run(int part, int worker);
    }

    /** The team of that many threads, which the process keeps. */
    static Team of(int threads) {
        return TEAMS.computeIfAbsent(threads, Team::new);
    }

    private Team(int threads) {
        this.threads = threads;
        helpers = new Helper[threads - 1];
        for (int i = 0; i < helpers.length; i++) {
            helpers[i] = new Helper(i + 1);
            helpers[i].start();
        }
    }

    int threads() {
        return threads;
    }

    /** The threads besides the caller. */
    Thread[] helpers() {
        return helpers.clone();
    }

    private static final class Job {
        final Body body;
        final int parts;
        final Thread caller = Thread.currentThread();
        final AtomicInteger next = new AtomicInteger();
        final AtomicInteger done = new AtomicInteger();
        final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();

        Job(Body body, int parts) {
            this.body = body;
            this.parts = parts;
        }

        /** Does parts until there are none left; after a failure they are only counted. */
        void work(int worker) {
            for (int part = next.getAndIncrement(); part < parts; part = next.getAndIncrement()) {
                try {
                    if (failure.get() == null) body.run(part, worker);
                } catch (Throwable t) {
                    failure.compareAndSet(null, t);
                } finally {
                    if (done.incrementAndGet() == parts && worker != 0) LockSupport.unpark(caller);
                }
            }
        }

        boolean finished() {
            return done.get() == parts;
        }

        void await() {
            long start = System.nanoTime();
            while (!finished()) {
                if (System.nanoTime() - start < SPIN_NANOS) {
                    Thread.onSpinWait();
                } else {
                    LockSupport.park(this);
                }
            }
        }
    }

    private final class Helper extends Thread {
        private final int worker;
        private volatile boolean parked;

        Helper(int worker) {
            super("lacuna-" + threads + "-" + worker);
            this.worker = worker;
            setDaemon(true);
        }

        @Override
        public void run() {
            Job last = null;
            while (true) {
                Job next = awaitOther(last);
                next.work(worker);
                last = next;
            }
        }

        private Job awaitOther(@Nullable Job last) {
            long start = System.nanoTime();
            while (true) {
                Job next = job;
                if (next != null && next != last) return next;
                if (System.nanoTime() - start < SPIN_NANOS) {
                    Thread.onSpinWait();
                    continue;
                }
                parked = true;
                if (job == next) LockSupport.park(Team.this);
                parked = false;
            }
        }
    }

    /**
     * Calls {@code body} for 0 to {@code parts - 1}, each once, and returns when all are done. Callers from several threads take turns.
     *
     * @throws IllegalStateException if called by a part of a running operation
     */
    void run(int parts, Body body) {
        if (lock.isHeldByCurrentThread() || Thread.currentThread() instanceof Helper) {
            throw new IllegalStateException("an operation inside an operation: the team is busy with the outer one");
        }
        lock.lock();
        try {
            if (parts == 1 || threads == 1) {
                for (int part = 0; part < parts; part++) body.run(part, 0);
                return;
            }
            Job mine = new Job(body, parts);
            job = mine;
            for (int i = 0; i < Math.min(helpers.length, parts - 1); i++) {
                if (helpers[i].parked) LockSupport.unpark(helpers[i]);
            }
            mine.work(0);
            mine.await();
            Throwable failure = mine.failure.get();
            if (failure instanceof RuntimeException e) throw e;
            if (failure instanceof Error e) throw e;
        } finally {
            lock.unlock();
        }
    }
}
