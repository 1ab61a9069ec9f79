package dev.lacuna.hub;

import java.io.IOException;
import java.io.Serial;

/** A source failed, and why; the next source may do. A {@link Fatal} one concerns this machine, and no other source helps. */
class FetchException extends IOException {
    @Serial
    private static final long serialVersionUID = 1L;

    FetchException(String message) {
        super(message);
    }

    FetchException(String message, Throwable cause) {
        super(message, cause);
    }

    /** The disk or the user stopped us. */
    static final class Fatal extends FetchException {
        @Serial
        private static final long serialVersionUID = 1L;

        Fatal(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /** The connection broke or fell silent; another attempt may do. */
    static class Broken extends FetchException {
        @Serial
        private static final long serialVersionUID = 1L;

        Broken(String message) {
            super(message);
        }

        Broken(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /** Cannot be reached at all: another attempt would only cost time. */
    static final class Unreachable extends FetchException {
        @Serial
        private static final long serialVersionUID = 1L;

        Unreachable(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /** The reason in one line, never empty. */
    static String reason(Throwable failure) {
        String message = failure.getMessage();
        return failure instanceof FetchException && message != null
                ? message
                : failure.getClass().getSimpleName() + (message == null ? "" : ": " + Names.printable(message));
    }
}
