package dev.lacuna.text;

import java.io.Serial;

/** A chat template that is malformed, uses what is not supported, fails on its input, or exceeds a budget. */
public final class TemplateException extends RuntimeException {
    @Serial
    private static final long serialVersionUID = 1L;
    private final int line;

    TemplateException(String message, int line) {
        super("chat template, line " + line + ": " + message);
        this.line = line;
    }

    /** The line of the template's source, from 1. */
    public int line() {
        return line;
    }
}
