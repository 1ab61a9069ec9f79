package dev.lacuna.ops;

/**
 * Causal attention of the query heads that a layer has; head lists differ by layer.
 *
 * @param kvOf     for each query head of the activation the key/value head that it reads
 * @param headSize values of a head
 * @param scale    factor of the scores
 * @param window   positions seen back, the own one included; 0: all
 * @param softCap  scores become {@code softCap * tanh(score / softCap)}; 0: no cap
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record Attention(int[] kvOf, int headSize, float scale, int window, float softCap) {
    public int heads() {
        return kvOf.length;
    }
}
