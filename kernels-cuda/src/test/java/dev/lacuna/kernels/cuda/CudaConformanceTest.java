package dev.lacuna.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lacuna.ops.Input;
import dev.lacuna.ops.Ops;
import dev.lacuna.ops.OpsConformance;
import dev.lacuna.tensor.Format;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;

/**
 * Every operation on the emulated device, whose checks are on. Emulated kernels are slow, so of the cases of one operation, format and input the first is
 * played, and from there on one in {@code -Dlacuna.cuda.cases=N} (10), another one in each run; 1 plays all of them.
 */
class CudaConformanceTest extends OpsConformance {
    private static final int ONE_IN = Integer.getInteger("lacuna.cuda.cases", 10);
    private static final long SHIFT = Long.getLong("lacuna.test.seed", System.nanoTime());
    private static final Map<String, Integer> SEEN = new HashMap<>();
    private static int played;
    private static int all;

    @Override
    protected Ops open(int threads) {
        return CudaTier.open();
    }

    /** All but those whose rows differ in length. */
    @Override
    protected Stream<Format> formats() {
        return Format.ALL.stream().filter(f -> !f.variable());
    }

    @Override
    protected Stream<Input> inputs() {
        return Stream.of(Input.F32, Input.BF16, Input.I8);
    }

    @Override
    protected boolean plays(String what) {
        int comma = what.indexOf(',');
        String kind = (comma < 0 ? what : what.substring(0, comma)).replaceAll("\\b\\d+\\b", "");
        int n = SEEN.merge(kind, 1, Integer::sum) - 1;
        boolean plays = n == 0 || Math.floorMod(n + kind.hashCode() + SHIFT, ONE_IN) == 0;
        all++;
        if (plays) played++;
        return plays;
    }

    @AfterEach
    void nothingIsLeftAllocated() {
        assertEquals(0, Device.live(), "allocations, modules and graphs that were not freed");
    }

    @AfterAll
    static void sayHowMany() {
        System.out.println("conformance on the emulated device: " + played + " of " + all + " cases");
    }
}
