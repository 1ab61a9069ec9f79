package dev.lacuna.server;

import dev.lacuna.Lacuna;
import dev.lacuna.MemoryException;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/** The models by name: loaded at first use, unloaded when idle for long or when memory is short. */
final class Models implements AutoCloseable {
    private static final Logger LOG = System.getLogger(LacunaServer.LOG);
    private static final int RETRY = 10; // seconds, for who meets a model that is being loaded
    private static final double SHORT = 0.05; // share of the memory that should stay available
    private static final Duration LONGEST_LOAD = Duration.ofHours(6); // a download may be part of it
    private static final Duration LEAST_IDLE = Duration.ofSeconds(30);

    private final Map<String, ModelSlot> slots = new LinkedHashMap<>();
    private final Duration idleUnload;
    private final BooleanSupplier memoryIsShort;
    private volatile boolean opened;

    Models(List<ServedModel> served, boolean own, Duration idleUnload) {
        this(served, own, idleUnload, Models::memoryIsShort);
    }

    Models(List<ServedModel> served, boolean own, Duration idleUnload, BooleanSupplier memoryIsShort) {
        if (served.isEmpty()) throw new IllegalArgumentException("there is no model to serve");
        for (ServedModel m : served) {
            if (slots.putIfAbsent(m.name(), new ModelSlot(m, own)) != null) {
                throw new IllegalArgumentException("two models are called " + m.name());
            }
        }
        this.idleUnload = idleUnload;
        this.memoryIsShort = memoryIsShort;
    }

    List<ModelSlot> all() {
        return new ArrayList<>(slots.values());
    }

    ModelSlot first() {
        return slots.values().iterator().next();
    }

    Optional<ModelSlot> find(String name) {
        return Optional.ofNullable(slots.get(name));
    }

    /** The slot that a request names; the first where it names none. */
    ModelSlot named(@Nullable String name) {
        if (name == null) return first();
        return find(name).orElseThrow(() -> ApiException.noModel("there is no model of that name; /v1/models lists those there are"));
    }

    /**
     * The model, loaded if it is not yet.
     *
     * @throws ApiException if that takes longer or fails
     */
    ModelSlot.Lease lease(ModelSlot slot, Duration longest) throws InterruptedException {
        long until = System.nanoTime() + longest.toNanos();
        while (true) {
            ModelSlot.Lease lease = slot.tryLease();
            if (lease != null) return lease;
            long left = until - System.nanoTime();
            try {
                if (left <= 0) throw new TimeoutException();
                slot.load(this::open, left);
            } catch (TimeoutException e) {
                throw ApiException.unavailable("model_loading", "the model is being loaded; try again", RETRY);
            } catch (ExecutionException e) {
                Throwable cause = e.getCause() == null ? e : e.getCause();
                boolean memory = cause instanceof MemoryException || cause instanceof OutOfMemoryError;
                throw memory
                        ? ApiException.unavailable("model_does_not_fit", "there is not enough memory to load the model now", RETRY)
                        : ApiException.unavailable("model_failed", "the model cannot be loaded; the server's log tells why", RETRY);
            }
        }
    }

    /** Opens the first model; throws what opening it throws. */
    void load() {
        try {
            first().load(this::open, LONGEST_LOAD.toNanos());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while " + first().name() + " was being loaded", e);
        } catch (TimeoutException e) {
            throw new IllegalStateException(first().name() + " could not be loaded within " + LONGEST_LOAD, e);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException r) throw r;
            if (e.getCause() instanceof Error r) throw r;
            throw new IllegalStateException(first().name() + " cannot be loaded", e);
        }
    }

    /** Whether a model was ever loaded. */
    boolean opened() {
        return opened;
    }

    private Lacuna open(ServedModel model) {
        long begun = System.nanoTime();
        while (true) {
            try {
                Lacuna loaded = model.opener().get();
                opened = true;
                LOG.log(Level.INFO, "loaded {0} in {1} ms", model.name(), (System.nanoTime() - begun) / 1_000_000);
                return loaded;
            } catch (MemoryException | OutOfMemoryError e) {
                if (unloadOldest(Duration.ZERO)) continue;
                LOG.log(Level.WARNING, "{0} does not fit: {1}", model.name(), e.getMessage());
                throw e;
            } catch (RuntimeException | Error e) {
                LOG.log(Level.WARNING, "{0} cannot be loaded: {1}", model.name(), e);
                throw e;
            }
        }
    }

    /** Unloads what was idle for too long, and, when memory is short, what was idle longest; to be called every now and then. */
    void sweep() {
        if (idleUnload.isPositive()) {
            for (ModelSlot s : slots.values()) {
                if (s.idle() > idleUnload.toNanos() && s.unload()) LOG.log(Level.INFO, "unloaded {0}, which was idle", s.name());
            }
        }
        if (slots.size() > 1 && memoryIsShort.getAsBoolean()) unloadOldest(LEAST_IDLE);
    }

    private boolean unloadOldest(Duration leastIdle) {
        Optional<ModelSlot> oldest = slots.values().stream().filter(s -> s.idle() >= leastIdle.toNanos())
                .max(Comparator.comparingLong(ModelSlot::idle));
        if (oldest.isEmpty() || !oldest.get().unload()) return false;
        LOG.log(Level.INFO, "unloaded {0} to make room", oldest.get().name());
        return true;
    }

    /** Whether the system says that hardly any memory can be had without swapping. */
    private static boolean memoryIsShort() {
        try {
            long total = 0;
            long available = Long.MAX_VALUE;
            for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
                if (line.startsWith("MemTotal:")) total = number(line);
                if (line.startsWith("MemAvailable:")) available = number(line);
            }
            return available < SHORT * total;
        } catch (IOException | NumberFormatException e) {
            return false; // not Linux
        }
    }

    private static long number(String line) {
        return Long.parseLong(line.replaceAll("\\D", ""));
    }

    @Override
    public void close() {
        slots.values().forEach(ModelSlot::close);
    }
}
