package dev.lacuna.model;

import dev.lacuna.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The tensors of a decoder, where its file has them.
 *
 * @param embedding {@code [vocabulary x dim]}
 * @param positions {@code [(offset + positions) x dim]}; null: positions are not learned
 * @param layers    one for each layer of the spec
 * @param norm      before the output
 * @param output    {@code [vocabulary x dim]}; null: tied to the embedding
 */
record Weights(Tensor embedding, @Nullable Tensor positions, List<Layer> layers, Gain norm, @Nullable Projection output) {

    /** A matrix and its bias. */
    record Projection(Tensor weight, @Nullable Tensor bias) {}

    /** What a norm multiplies with and adds. */
    record Gain(Tensor gain, @Nullable Tensor bias) {}

    /** Null where the module is absent. */
    record Layer(@Nullable AttentionBlock attention, @Nullable FeedForward ffn) {}

    /**
     * An attention block.
     *
     * @param heads norms of each head of q and k
     * @param post  norm of what the block adds to the residual stream
     */
    record AttentionBlock(Gain norm, Projection q, Projection k, Projection v, @Nullable HeadGains heads, Projection output,
            @Nullable Gain post) {}

    record HeadGains(Tensor q, Tensor k) {}

    /**
     * A feed-forward block.
     *
     * @param gate null: a plain one
     * @param post norm of what the block adds to the residual stream
     */
    record FeedForward(Gain norm, @Nullable Projection gate, Projection up, Projection down, @Nullable Gain post) {}
}
