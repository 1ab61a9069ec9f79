package dev.lacuna.model;

import dev.lacuna.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The tensors of a decoder, where its file has them.
 *
 * @param embedding {@code [vocabulary x dim]}
 * @param layers    one for each layer of the spec
 * @param norm      gain of the last norm
 * @param output    {@code [vocabulary x dim]}; null: tied to the embedding
 */
record Weights(Tensor embedding, List<Layer> layers, Tensor norm, @Nullable Tensor output) {

    /** A matrix and its bias. */
    record Projection(Tensor weight, @Nullable Tensor bias) {}

    /** Null where the module is absent. */
    record Layer(@Nullable AttentionBlock attention, @Nullable FeedForward ffn) {}

    record AttentionBlock(Tensor norm, Projection q, Projection k, Projection v, Projection output) {}

    record FeedForward(Tensor norm, Projection gate, Projection up, Projection down) {}
}
