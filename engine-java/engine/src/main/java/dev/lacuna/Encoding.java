package dev.lacuna;

import dev.lacuna.files.ModelFile;
import dev.lacuna.hub.Progress;
import dev.lacuna.model.ModelSpec;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.SegmentAllocator;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** Re-encodes matrices at load, so that every format can be run before anybody has made a file in it. */
final class Encoding {
    private Encoding() {}

    static UnaryOperator<Tensor> of(@Nullable Format to, Options options, ModelFile file, ModelSpec spec, SegmentAllocator memory) {
        if (to == null) return UnaryOperator.identity();
        Progress progress = options.progress();
        return tensor -> {
            if (tensor.format().equals(to)) return tensor;
            if (!to.packs(tensor.cols())) {
                throw new IllegalArgumentException(
                        file.path().getFileName() + ": " + tensor.name() + " has rows of " + tensor.cols() + ", " + to
                                + " packs blocks of " + to.group() + "; choose a format whose blocks divide them, such as Q8_0");
            }
            progress.begin(spec.name() + " " + tensor.name() + " as " + to, tensor.data().byteSize());
            Tensor encoded = tensor.as(to, memory);
            progress.advance(tensor.data().byteSize());
            progress.end();
            return encoded;
        };
    }
}
