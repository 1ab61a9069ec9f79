package dev.lacuna.generate;

/** A prompt that leaves no room for an answer. */
public final class ContextFullException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public ContextFullException(int tokens, int context) {
        super("the prompt has " + tokens + " tokens, the context holds " + context + " with the answer: shorten it, or open the model with a larger context");
    }
}
