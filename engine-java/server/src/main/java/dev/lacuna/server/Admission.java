package dev.lacuna.server;

import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/** Who may wait for a turn: bounded by requests and by prompt tokens. Also counts who is being answered, so that closing can wait for them. */
final class Admission {
    private static final int LONGEST_RETRY = 60;

    private final ServerLimits limits;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition quiet = lock.newCondition();
    private final Set<Ticket> admitted = new HashSet<>();
    private int exchanges; // of any route, until their answers are written
    private int waiting;
    private long waitingTokens;
    private boolean draining;
    private double seconds = 1; // that a generation took lately

    Admission(ServerLimits limits) {
        this.limits = limits;
    }

    /** A request that was let in. */
    final class Ticket implements AutoCloseable {
        private final int choices;
        private final long tokens; // of each
        private final Runnable abort;
        private final long begun = System.nanoTime();
        private int left; // choices that wait

        private Ticket(int choices, long tokens, Runnable abort) {
            this.choices = choices;
            this.tokens = tokens;
            this.abort = abort;
            left = choices;
        }

        /** One of its choices waits no more. */
        void started() {
            lock.lock();
            try {
                leave(1);
            } finally {
                lock.unlock();
            }
        }

        private void leave(int n) {
            int leaving = Math.min(n, left);
            left -= leaving;
            waiting -= leaving;
            waitingTokens -= leaving * tokens;
        }

        @Override
        public void close() {
            lock.lock();
            try {
                if (!admitted.remove(this)) return;
                leave(choices);
                seconds += 0.1 * ((System.nanoTime() - begun) * 1e-9 - seconds);
                tellIfQuiet();
            } finally {
                lock.unlock();
            }
        }
    }

    /**
     * Lets a request in.
     *
     * @param choices generations that it needs
     * @param tokens  of its prompt, for each of them
     * @param abort   told to end when the server cannot wait any longer
     * @throws ApiException if there is no room, or the server is closing
     */
    Ticket admit(int choices, long tokens, Runnable abort) {
        lock.lock();
        try {
            if (draining) throw closing();
            long more = Math.multiplyExact(choices, tokens);
            // what could never wait beside others may wait alone
            boolean room = waiting == 0 || (waiting + choices <= limits.waiting() && waitingTokens + more <= limits.waitingTokens());
            if (!room) {
                throw ApiException.tooMany(
                        waiting + " generations with " + waitingTokens + " prompt tokens are waiting already; try again later",
                        retryAfter());
            }
            Ticket t = new Ticket(choices, tokens, abort);
            admitted.add(t);
            waiting += choices;
            waitingTokens += more;
            return t;
        } finally {
            lock.unlock();
        }
    }

    private int retryAfter() {
        return (int) Math.clamp(Math.ceil(seconds), 1, LONGEST_RETRY);
    }

    static ApiException closing() {
        return ApiException.unavailable("shutting_down", "the server is shutting down", 5);
    }

    int waiting() {
        lock.lock();
        try {
            return waiting;
        } finally {
            lock.unlock();
        }
    }

    long waitingTokens() {
        lock.lock();
        try {
            return waitingTokens;
        } finally {
            lock.unlock();
        }
    }

    /** Requests that are being answered or wait. */
    int admitted() {
        lock.lock();
        try {
            return admitted.size();
        } finally {
            lock.unlock();
        }
    }

    boolean draining() {
        lock.lock();
        try {
            return draining;
        } finally {
            lock.unlock();
        }
    }

    /** Lets nobody in any more. */
    void drain() {
        lock.lock();
        try {
            draining = true;
        } finally {
            lock.unlock();
        }
    }

    private void tellIfQuiet() {
        if (admitted.isEmpty() && exchanges == 0) quiet.signalAll();
    }

    /** An exchange has begun. */
    void enter() {
        lock.lock();
        try {
            exchanges++;
        } finally {
            lock.unlock();
        }
    }

    /** An exchange has ended, its answer written. */
    void leave() {
        lock.lock();
        try {
            exchanges--;
            tellIfQuiet();
        } finally {
            lock.unlock();
        }
    }

    /** Waits until all are answered; false: some are not. */
    boolean awaitQuiet(Duration longest) throws InterruptedException {
        long left = longest.toNanos();
        lock.lock();
        try {
            while (!admitted.isEmpty() || exchanges > 0) {
                if (left <= 0) return false;
                left = quiet.awaitNanos(left);
            }
            return true;
        } finally {
            lock.unlock();
        }
    }

    /** Tells all to end. */
    void abortAll() {
        Set<Ticket> all;
        lock.lock();
        try {
            all = Set.copyOf(admitted);
        } finally {
            lock.unlock();
        }
        all.forEach(t -> t.abort.run());
    }

    /** A wait in whole seconds that the clients of a full server are told. */
    static int seconds(Duration d) {
        return Math.clamp(d.toSeconds(), 1, LONGEST_RETRY);
    }
}
