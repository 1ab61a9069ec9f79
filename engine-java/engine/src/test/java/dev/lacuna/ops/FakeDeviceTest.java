package dev.lacuna.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.tensor.Format;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The suite on a device that captures and replays, and what that device is strict about. */
class FakeDeviceTest extends OpsConformance {
    /** One of each kind: this is the reference's arithmetic, which knows formats by their codecs alone. */
    @Override
    protected Stream<Format> formats() {
        return Stream.of(Format.F32, Format.BF16, Format.Q8_0, Format.Q4_1, Format.Q4_K, Format.I8_ROW, Format.i4Group(128), Format.I8_24,
                Format.I8_BITMASK);
    }

    @Override
    protected Ops open(int threads) {
        return new FakeDevice(threads, true);
    }

    private static final Limits LIMITS = new Limits(4, 1, 1, 1);

    private static Batch batch() {
        Batch b = new Batch(LIMITS);
        b.clear(1);
        b.addSequence(new int[]{1}, 1);
        b.addRow(0, 0, false);
        return b;
    }

    @Test
    void replaysWithoutTheBody() {
        try (FakeDevice device = new FakeDevice(1, false); Workspace room = device.workspace(LIMITS)) {
            Act x = room.act(2, InputPolicy.F32);
            Act y = room.act(2, InputPolicy.F32);
            AtomicInteger bodies = new AtomicInteger();
            for (int i = 1; i <= 3; i++) {
                device.write(x, new float[]{i, -i});
                device.run(Step.of(0, batch()), batch(), () -> {
                    bodies.incrementAndGet();
                    device.activate(Activation.RELU, x, null, y);
                });
                assertArrayEquals(new float[]{i, 0}, device.read(y, 1));
            }
            assertEquals(1, bodies.get());
            assertEquals(2, device.replays());
        }
    }

    @Test
    void refusesWhatAGraphCannotHold() {
        try (FakeDevice device = new FakeDevice(1, true); Workspace room = device.workspace(LIMITS)) {
            Act x = room.act(2, InputPolicy.F32);
            for (Runnable bad : new Runnable[]{() -> device.read(x, 1), () -> device.write(x, new float[2]),
                    () -> room.act(2, InputPolicy.F32),
                    () -> device.values(new float[1]), room::close,
                    () -> device.run(Step.of(0, batch()), batch(), () -> device.decisions())}) {
                IllegalStateException e = assertThrows(IllegalStateException.class, () -> device.run(Step.of(0, batch()), batch(), bad));
                assertTrue(e.getMessage().contains("while a step is captured"), e.getMessage());
            }
            assertThrows(IllegalStateException.class, () -> device.activate(Activation.RELU, x, null, x));
        }
    }

    @Test
    void noticesABodyThatBranches() {
        try (FakeDevice device = new FakeDevice(1, true); Workspace room = device.workspace(LIMITS)) {
            Act x = room.act(2, InputPolicy.F32);
            Act y = room.act(2, InputPolicy.F32);
            device.run(Step.of(0, batch()), batch(), () -> device.activate(Activation.RELU, x, null, y));
            device.run(Step.of(0, batch()), batch(), () -> device.activate(Activation.RELU, x, null, y));
            for (Runnable other : new Runnable[]{() -> device.activate(Activation.SILU, x, null, y),
                    () -> device.activate(Activation.RELU, y, null, y),
                    () -> device.decisions(), () -> {
                        device.activate(Activation.RELU, x, null, y);
                        device.activate(Activation.RELU, x, null, y);
                    }}) {
                IllegalStateException e = assertThrows(IllegalStateException.class, () -> device.run(Step.of(0, batch()), batch(), other));
                assertTrue(e.getMessage().contains("was recorded as"), e.getMessage());
            }
        }
    }
}
