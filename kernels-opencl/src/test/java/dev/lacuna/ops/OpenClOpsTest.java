package dev.lacuna.ops;

import dev.lacuna.kernels.opencl.OpenClTier;
import dev.lacuna.tensor.Format;
import java.util.stream.Stream;

class OpenClOpsTest extends OpsConformance {
    @Override
    protected Ops open(int threads) {
        return OpenClTier.open();
    }

    @Override
    protected Stream<Format> formats() {
        return OpenClTier.formats();
    }

    @Override
    protected Stream<Input> inputs() {
        return Stream.of(Input.F32, Input.I8);
    }
}
