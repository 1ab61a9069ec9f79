package dev.lacuna.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.Lacuna;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** Models by name: loaded at first use, once, and unloaded when nobody needs them. */
class ModelsTest {
    private static final Duration LONG = Duration.ofSeconds(60);
    private final AtomicInteger opened = new AtomicInteger();

    private ServedModel tiny(String name) {
        return new ServedModel(name, () -> {
            opened.incrementAndGet();
            return TestServer.open(1);
        });
    }

    @Test
    void aModelIsLoadedOnceHoweverManyAsk() throws Exception {
        try (Models models = new Models(List.of(tiny("a"), tiny("b")), true, Duration.ZERO);
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            assertNull(models.first().peek());
            List<Future<Lacuna>> leases = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                leases.add(threads.submit(() -> {
                    try (ModelSlot.Lease l = models.lease(models.named("b"), LONG)) {
                        return l.model;
                    }
                }));
            }
            Lacuna first = leases.getFirst().get();
            for (Future<Lacuna> l : leases) assertEquals(first, l.get());
            assertEquals(1, opened.get());
            assertNull(models.first().peek());
            assertEquals("a", models.named(null).name());
            assertThrows(ApiException.class, () -> models.named("c"));
        }
    }

    @Test
    void namesAreDifferent() {
        assertThrows(IllegalArgumentException.class, () -> new Models(List.of(tiny("a"), tiny("a")), true, Duration.ZERO));
        assertThrows(IllegalArgumentException.class, () -> new Models(List.of(), true, Duration.ZERO));
        assertThrows(IllegalArgumentException.class, () -> tiny("a\nb"));
    }

    @Test
    void whatIsIdleLeavesTheMemoryAndComesBack() throws Exception {
        try (Models models = new Models(List.of(tiny("a")), true, Duration.ofNanos(1))) {
            ModelSlot.Lease lease = models.lease(models.first(), LONG);
            models.sweep();
            assertNotNull(models.first().peek(), "it is in use");
            lease.close();
            lease.close(); // once counts
            TimeUnit.MILLISECONDS.sleep(2);
            models.sweep();
            assertNull(models.first().peek());
            models.lease(models.first(), LONG).close();
            assertEquals(2, opened.get());
        }
    }

    @Test
    void roomIsMadeForAnotherModel() throws Exception {
        AtomicBoolean full = new AtomicBoolean(true);
        ServedModel large = new ServedModel("large", () -> {
            if (full.get()) throw new OutOfMemoryError("planted");
            return TestServer.open(1);
        });
        ServedModel small = new ServedModel("small", () -> {
            full.set(true);
            return TestServer.open(1);
        });
        try (Models models = new Models(List.of(small, large), true, Duration.ZERO)) {
            ApiException none = assertThrows(ApiException.class, () -> models.lease(models.named("large"), LONG));
            assertEquals(503, none.status);
            assertEquals("model_does_not_fit", none.code);
            ModelSlot.Lease held = models.lease(models.first(), LONG);
            assertThrows(ApiException.class, () -> models.lease(models.named("large"), LONG), "what is in use stays");
            assertNotNull(models.first().peek());
            held.close();
            assertThrows(ApiException.class, () -> models.lease(models.named("large"), LONG));
            assertNull(models.first().peek(), "the idle one made room");
            full.set(false);
            models.lease(models.named("large"), LONG).close();
        }
    }

    @Test
    void shortMemoryUnloadsOnlyWhereThereAreSeveral() throws Exception {
        try (Models models = new Models(List.of(tiny("a")), true, Duration.ZERO, () -> true)) {
            models.lease(models.first(), LONG).close();
            models.sweep();
            assertNotNull(models.first().peek());
        }
    }

    @Test
    void loadingThatTakesLongerIsNoFailure() throws Exception {
        CountDownLatch go = new CountDownLatch(1);
        ServedModel slow = new ServedModel("slow", () -> {
            try {
                assertTrue(go.await(60, TimeUnit.SECONDS));
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            return TestServer.open(1);
        });
        try (Models models = new Models(List.of(slow), true, Duration.ZERO)) {
            ApiException e = assertThrows(ApiException.class, () -> models.lease(models.first(), Duration.ofMillis(20)));
            assertEquals(503, e.status);
            assertEquals("model_loading", e.code);
            assertTrue(e.retryAfter > 0);
            assertFalse(models.opened());
            go.countDown();
            models.lease(models.first(), LONG).close();
            assertTrue(models.opened());
        }
    }

    @Test
    void whatCannotBeLoadedIsTriedAgain() throws Exception {
        AtomicInteger tries = new AtomicInteger();
        ServedModel flaky = new ServedModel("flaky", () -> {
            if (tries.incrementAndGet() == 1) throw new IllegalStateException("planted");
            return TestServer.open(1);
        });
        try (Models models = new Models(List.of(flaky), true, Duration.ZERO)) {
            assertEquals("model_failed", assertThrows(ApiException.class, () -> models.lease(models.first(), LONG)).code);
            models.lease(models.first(), LONG).close();
        }
    }
}
