package dev.lacuna.generate;

/**
 * A finished generation.
 *
 * @param promptIds    tokens of the prompt
 * @param outputIds    tokens that were generated, an end token included
 * @param text         text of the output, without end token and stop string
 * @param finishReason why it ended
 * @param contextFull  whether it ended because the context is full
 * @param cachedTokens tokens of the prompt that were found in the cache
 * @param timings      how long it took
 */
public record Result(int[] promptIds, int[] outputIds, String text, FinishReason finishReason, boolean contextFull, int cachedTokens, Timings timings) {

    /**
     * Wall time in nanoseconds.
     *
     * @param queued     from submission to the first step
     * @param prefill    from the first step to the first token
     * @param decode     from the first token to the last
     * @param promptRows tokens that prefill computed
     * @param outputRows tokens that were generated
     */
    public record Timings(long queued, long prefill, long decode, int promptRows, int outputRows) {
        /** Prompt tokens computed a second; 0 where there is nothing to measure. */
        public double promptPerSecond() {
            return prefill <= 0 ? 0 : promptRows * 1e9 / prefill;
        }

        /** Tokens generated a second, the first excepted; 0 where there is nothing to measure. */
        public double outputPerSecond() {
            return decode <= 0 || outputRows < 2 ? 0 : (outputRows - 1) * 1e9 / decode;
        }
    }
}
