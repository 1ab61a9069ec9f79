package dev.lacuna.ops;

/** No kernel takes this (op, format, input) here; the message says which and what to do. */
public final class UnsupportedKernelException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public UnsupportedKernelException(String message) {
        super(message);
    }
}
