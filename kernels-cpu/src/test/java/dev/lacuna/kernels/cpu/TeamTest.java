package dev.lacuna.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class TeamTest {
    private static int[] counts(AtomicIntegerArray a) {
        int[] out = new int[a.length()];
        for (int i = 0; i < out.length; i++) out[i] = a.get(i);
        return out;
    }

    private static int[] ones(int n) {
        int[] ones = new int[n];
        Arrays.fill(ones, 1);
        return ones;
    }

    @ParameterizedTest
    @CsvSource({"1,1", "1,7", "2,1", "2,2", "2,1000", "3,2", "5,64", "16,3"})
    void everyPartRunsOnce(int threads, int parts) {
        Team team = Team.of(threads);
        for (int round = 0; round < 200; round++) {
            AtomicIntegerArray runs = new AtomicIntegerArray(parts);
            AtomicIntegerArray busy = new AtomicIntegerArray(threads);
            ConcurrentLinkedQueue<String> shared = new ConcurrentLinkedQueue<>();
            team.run(parts, (part, worker) -> {
                if (busy.incrementAndGet(worker) != 1) shared.add("worker " + worker + " does two parts at once");
                runs.incrementAndGet(part);
                busy.decrementAndGet(worker);
            });
            assertArrayEquals(ones(parts), counts(runs));
            assertEquals(0, shared.size(), shared::toString);
        }
    }

    @Test
    void noPartsIsNoWork() {
        Team.of(2).run(0, (part, worker) -> {
            throw new AssertionError("part " + part);
        });
    }

    @Test
    void threadsWorkAtTheSameTime() throws Exception {
        CyclicBarrier all = new CyclicBarrier(3);
        ConcurrentLinkedQueue<Thread> threads = new ConcurrentLinkedQueue<>();
        Team.of(3).run(3, (part, worker) -> {
            threads.add(Thread.currentThread());
            try {
                all.await();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        assertEquals(3, threads.stream().distinct().count());
        assertTrue(threads.contains(Thread.currentThread()), "the caller works, too");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 4})
    void anExceptionReachesTheCallerAndTheTeamLives(int threads) {
        Team team = Team.of(threads);
        for (int bad : new int[]{0, 13, 63}) {
            IllegalArgumentException planted = new IllegalArgumentException("part " + bad);
            assertSame(planted, assertThrows(IllegalArgumentException.class, () -> team.run(64, (part, worker) -> {
                if (part == bad) throw planted;
            })));
            StackOverflowError error = new StackOverflowError();
            assertSame(error, assertThrows(StackOverflowError.class, () -> team.run(64, (part, worker) -> {
                if (part == bad) throw error;
            })));
            AtomicIntegerArray runs = new AtomicIntegerArray(64);
            team.run(64, (part, worker) -> runs.incrementAndGet(part));
            assertArrayEquals(ones(64), counts(runs));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void anOperationInsideAnOperationIsRefused(int threads) {
        Team team = Team.of(threads);
        IllegalStateException e = assertThrows(IllegalStateException.class,
                () -> team.run(2, (part, worker) -> Team.of(threads).run(2, (inner, w) -> {})));
        assertTrue(e.getMessage().contains("inside an operation"), e.getMessage());
        team.run(2, (part, worker) -> {});
    }

    @Test
    void callersTakeTurns() throws Exception {
        Team team = Team.of(2);
        int[] sum = new int[1];
        Thread[] callers = new Thread[4];
        for (int i = 0; i < callers.length; i++) {
            callers[i] = new Thread(() -> {
                // not atomic: only one caller's parts may run at a time, and these have one part each
                for (int n = 0; n < 1000; n++) team.run(1, (part, worker) -> sum[0]++);
            });
            callers[i].start();
        }
        for (Thread t : callers) t.join();
        assertEquals(4000, sum[0]);
    }

    @Test
    void idleThreadsPark() throws Exception {
        Team team = Team.of(4);
        team.run(64, (part, worker) -> {});
        for (Thread t : team.helpers()) {
            assertTrue(t.isDaemon());
            while (t.getState() != Thread.State.WAITING) Thread.sleep(1);
        }
        AtomicIntegerArray runs = new AtomicIntegerArray(64);
        team.run(64, (part, worker) -> runs.incrementAndGet(part));
        assertArrayEquals(ones(64), counts(runs));
    }

    @Test
    void aProcessHasOneTeamOfASize() {
        assertSame(Team.of(3), Team.of(3));
    }
}
