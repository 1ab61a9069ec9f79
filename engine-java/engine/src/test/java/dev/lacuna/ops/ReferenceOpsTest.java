package dev.lacuna.ops;

import dev.lacuna.tensor.Format;
import java.util.stream.Stream;

/** The reference against itself: the suite asks for nothing that its oracle does not give. */
class ReferenceOpsTest extends OpsConformance {
    /** One of each kind: this is the reference's arithmetic, which knows formats by their codecs alone. */
    @Override
    protected Stream<Format> formats() {
        return Stream.of(Format.F32, Format.BF16, Format.Q8_0, Format.Q4_1, Format.Q4_K, Format.I8_ROW, Format.i4Group(128), Format.I8_24,
                Format.I8_BITMASK);
    }

    @Override
    protected Ops open(int threads) {
        return new ReferenceOps(threads);
    }
}
