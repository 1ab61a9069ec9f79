package dev.lacuna.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lacuna.ops.Ops;
import dev.lacuna.ops.OpsConformance;
import org.junit.jupiter.api.AfterEach;

/** Every operation on the emulated device, whose checks are on. */
class CudaConformanceTest extends OpsConformance {
    @Override
    protected Ops open(int threads) {
        return CudaTier.open();
    }

    @AfterEach
    void nothingIsLeftAllocated() {
        assertEquals(0, Device.live(), "allocations, modules and graphs that were not freed");
    }
}
