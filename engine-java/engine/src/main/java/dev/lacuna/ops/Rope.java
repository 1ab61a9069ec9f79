package dev.lacuna.ops;

/**
 * Rotary position embedding (Su et al., 2021) with every scaling already folded into its table.
 *
 * @param table       {@code [positions x dims / 2 x (cos, sin)]}
 * @param dims        leading values of each head that rotate, even
 * @param headSize    values of a head
 * @param interleaved whether value 2i pairs with 2i + 1 (GGUF's Llama order) or i with i + dims / 2
 */
public record Rope(Values table, int dims, int headSize, boolean interleaved) {
    public int positions() {
        return table.size() / dims;
    }
}
