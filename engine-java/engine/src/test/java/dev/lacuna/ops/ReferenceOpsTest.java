package dev.lacuna.ops;

import dev.lacuna.tensor.Format;
import java.util.stream.Stream;

/** The reference against itself: the suite asks for nothing that its oracle does not give. */
class ReferenceOpsTest extends OpsConformance {
    /** Those of the suite's parts that name some; FakeDeviceTest plays one of each kind on the same arithmetic. */
    @Override
    protected Stream<Format> formats() {
        return Stream.of(Format.F32, Format.Q8_0, Format.Q4_K, Format.Q4_1);
    }

    @Override
    protected Ops open(int threads) {
        return new ReferenceOps(threads);
    }
}
