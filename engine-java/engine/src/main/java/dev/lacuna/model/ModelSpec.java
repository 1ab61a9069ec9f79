package dev.lacuna.model;

import dev.lacuna.ops.Activation;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.Norm;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * The shape of a decoder, as read from its file. Layers differ: each has its own heads, feed-forward width, window and rotation, and its attention or
 * feed-forward block may be absent.
 *
 * @param family          the mapping that read it
 * @param name            the model's own name, for messages
 * @param vocabulary      tokens
 * @param dim             width of the residual stream
 * @param headSize        values of an attention head
 * @param layers          in the order in which they run; may be a subset of the file's
 * @param activation      of the feed-forward blocks
 * @param norms           kind of every norm but those of heads, which are RMS
 * @param normEps         epsilon of every norm
 * @param embeddingScale  factor of the tokens' embeddings
 * @param positionOffset  row of position 0 in a table of learned positions, where the file has one
 * @param attentionScale  factor of the attention scores
 * @param attentionCap    soft cap of the attention scores; 0: none
 * @param logitCap        soft cap of the logits; 0: none
 * @param contextLength   positions that it was made for
 */
public record ModelSpec(String family, String name, int vocabulary, int dim, int headSize, List<Layer> layers, Activation activation,
        Norm.Kind norms, float normEps, float embeddingScale, int positionOffset, float attentionScale, float attentionCap, float logitCap,
        int contextLength) {

    /**
     * One layer.
     *
     * @param index   its number in the file, which its tensors' names carry
     * @param kvOf    for each query head the key/value head that it reads; empty: no attention
     * @param kvHeads key/value heads
     * @param ffn     width of the feed-forward block; 0: none
     * @param window  positions seen back, the own one included; 0: all
     * @param rope    rotary position embedding; null: none
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    public record Layer(int index, int[] kvOf, int kvHeads, int ffn, int window, @Nullable RopeSpec rope) {
        /** A layer whose query heads share the key/value heads evenly, and that sees everything. */
        public static Layer grouped(int index, int heads, int kvHeads, int ffn, @Nullable RopeSpec rope) {
            if (heads > 0 && (kvHeads <= 0 || heads % kvHeads != 0)) {
                throw new ModelException(
                        "layer " + index + ": " + heads + " query heads cannot share " + kvHeads + " key/value heads evenly");
            }
            int[] kvOf = new int[heads];
            for (int h = 0; h < heads; h++) kvOf[h] = h / (heads / kvHeads);
            return new Layer(index, kvOf, heads == 0 ? 0 : kvHeads, ffn, 0, rope);
        }

        public int heads() {
            return kvOf.length;
        }

        /** The same layer, seeing so many positions back; 0: all. */
        public Layer withWindow(int positions) {
            return new Layer(index, kvOf, kvHeads, ffn, positions, rope);
        }

        /** The same layer with another rotary embedding. */
        public Layer withRope(@Nullable RopeSpec other) {
            return new Layer(index, kvOf, kvHeads, ffn, window, other);
        }
    }

    public ModelSpec {
        layers = List.copyOf(layers);
    }

    /**
     * The same model with only some of its layers (LayerDrop; Fan et al., 2019).
     *
     * @param keep numbers of the file's layers, rising
     */
    public ModelSpec withLayers(int[] keep) {
        List<Layer> kept = new ArrayList<>();
        int before = -1;
        for (int k : keep) {
            if (k <= before) throw new ModelException("layers to keep must rise: " + k + " after " + before);
            before = k;
            int wanted = k;
            kept.add(layers.stream().filter(l -> l.index() == wanted).findFirst()
                    .orElseThrow(() -> new ModelException("layer " + wanted + " of " + layers.size() + " does not exist")));
        }
        if (kept.isEmpty()) throw new ModelException("no layer is kept");
        return with(kept);
    }

    /** The same model, each layer changed. */
    public ModelSpec withLayers(UnaryOperator<Layer> change) {
        return with(layers.stream().map(change).toList());
    }

    private ModelSpec with(List<Layer> l) {
        return new ModelSpec(family, name, vocabulary, dim, headSize, l, activation, norms, normEps, embeddingScale, positionOffset,
                attentionScale, attentionCap, logitCap, contextLength);
    }

    /** The same model with another norm. */
    ModelSpec withNorms(Norm.Kind kind) {
        return new ModelSpec(family, name, vocabulary, dim, headSize, layers, activation, kind, normEps, embeddingScale, positionOffset,
                attentionScale, attentionCap, logitCap, contextLength);
    }

    /** The same model with another function in its feed-forward blocks. */
    public ModelSpec withActivation(Activation f) {
        return new ModelSpec(family, name, vocabulary, dim, headSize, layers, f, norms, normEps, embeddingScale, positionOffset,
                attentionScale,
                attentionCap, logitCap, contextLength);
    }

    /** The same model with other embeddings. */
    public ModelSpec withEmbedding(float scale, int offset) {
        return new ModelSpec(family, name, vocabulary, dim, headSize, layers, activation, norms, normEps, scale, offset, attentionScale,
                attentionCap, logitCap, contextLength);
    }

    /** The same model with other attention scores. */
    public ModelSpec withAttention(float scale, float cap) {
        return new ModelSpec(family, name, vocabulary, dim, headSize, layers, activation, norms, normEps, embeddingScale, positionOffset,
                scale,
                cap, logitCap, contextLength);
    }

    /** The same model with another soft cap of the logits; 0: none. */
    public ModelSpec withLogitCap(float cap) {
        return new ModelSpec(family, name, vocabulary, dim, headSize, layers, activation, norms, normEps, embeddingScale, positionOffset,
                attentionScale, attentionCap, cap, contextLength);
    }

    /** The shape of a cache for it. */
    public KvSpec kv(KvType type) {
        return new KvSpec(layers.stream().mapToInt(Layer::kvHeads).toArray(), headSize, type);
    }
}
