package dev.lacuna.model;

/** A model that cannot be run as it is; the message names what is wrong with it, and what would be supported. */
public final class ModelException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public ModelException(String message) {
        super(message);
    }
}
