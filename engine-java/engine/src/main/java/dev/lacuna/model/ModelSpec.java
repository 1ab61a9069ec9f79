package dev.lacuna.model;

import dev.lacuna.ops.Activation;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.KvType;
import java.util.ArrayList;
import java.util.List;

/**
 * The shape of a decoder, as read from its file. Layers differ: each has its own heads and feed-forward width, and either may be absent.
 *
 * @param family         the mapping that read it
 * @param name           the model's own name, for messages
 * @param vocabulary     tokens
 * @param dim            width of the residual stream
 * @param headSize       values of an attention head
 * @param layers         in the order in which they run; may be a subset of the file's
 * @param activation     of the feed-forward blocks
 * @param rope           rotary position embedding
 * @param attentionScale factor of the attention scores
 * @param normEps        epsilon of every norm
 * @param contextLength  positions that it was made for
 */
public record ModelSpec(String family, String name, int vocabulary, int dim, int headSize, List<Layer> layers, Activation activation, RopeSpec rope,
        float attentionScale, float normEps, int contextLength) {

    /**
     * One layer.
     *
     * @param index   its number in the file, which its tensors' names carry
     * @param kvOf    for each query head the key/value head that it reads; empty: no attention
     * @param kvHeads key/value heads
     * @param ffn     width of the feed-forward block; 0: none
     * @param window  positions seen back, the own one included; 0: all
     */
    public record Layer(int index, int[] kvOf, int kvHeads, int ffn, int window) {
        /** A layer whose query heads share the key/value heads evenly. */
        public static Layer grouped(int index, int heads, int kvHeads, int ffn) {
            if (heads > 0 && (kvHeads <= 0 || heads % kvHeads != 0)) {
                throw new ModelException("layer " + index + ": " + heads + " query heads cannot share " + kvHeads + " key/value heads evenly");
            }
            int[] kvOf = new int[heads];
            for (int h = 0; h < heads; h++) kvOf[h] = h / (heads / kvHeads);
            return new Layer(index, kvOf, heads == 0 ? 0 : kvHeads, ffn, 0);
        }

        public int heads() {
            return kvOf.length;
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
        return new ModelSpec(family, name, vocabulary, dim, headSize, kept, activation, rope, attentionScale, normEps, contextLength);
    }

    /** The shape of a cache for it. */
    public KvSpec kv(KvType type) {
        return new KvSpec(layers.stream().mapToInt(Layer::kvHeads).toArray(), headSize, type);
    }
}
