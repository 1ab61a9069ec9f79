package dev.lacuna.generate;

import java.util.List;

/**
 * A stretch of a text as it is generated.
 *
 * @param text     whole characters; empty only where {@code logprobs} are not
 * @param logprobs of the tokens since the piece before, if they were asked for; the token that ends a text is not among them
 */
public record Piece(String text, List<TokenLogprob> logprobs) {
    public Piece {
        logprobs = List.copyOf(logprobs);
    }
}
