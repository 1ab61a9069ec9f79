package dev.lacuna.cli;

import dev.lacuna.MemoryException;
import dev.lacuna.files.ModelFileException;
import dev.lacuna.generate.ContextFullException;
import dev.lacuna.hub.ModelNotAvailableException;
import dev.lacuna.hub.SourceException;
import dev.lacuna.model.ModelException;
import dev.lacuna.ops.DeviceMemoryException;
import dev.lacuna.ops.UnsupportedKernelException;
import dev.lacuna.text.MalformedTokenizerException;
import dev.lacuna.text.TemplateException;
import dev.lacuna.text.UnsupportedTokenizerException;

/** What the command's exit status says; docs/cli.md has the same table. */
final class Exit {
    static final int OK = 0;
    static final int FAILED = 1;
    static final int USAGE = 2;
    static final int NO_MODEL = 3;
    static final int UNSUPPORTED = 4;
    static final int DOES_NOT_FIT = 5;
    static final int INTERRUPTED = 130;

    private Exit() {}

    /** A command line that says what cannot be done; the message tells what to do. */
    static final class UsageException extends RuntimeException {
        private static final long serialVersionUID = 1;

        UsageException(String message) {
            super(message);
        }
    }

    static int code(Throwable failure) {
        return switch (failure) {
            case SourceException _,ModelNotAvailableException _ -> NO_MODEL;
            case ModelFileException _,ModelException _,UnsupportedKernelException _ -> UNSUPPORTED;
            case UnsupportedTokenizerException _,MalformedTokenizerException _,TemplateException _ -> UNSUPPORTED;
            case MemoryException _,DeviceMemoryException _,ContextFullException _,OutOfMemoryError _ -> DOES_NOT_FIT;
            case UsageException _,IllegalArgumentException _ -> USAGE;
            default -> FAILED;
        };
    }

    /** What is told of a failure; the class where it has nothing to say. */
    static String message(Throwable failure) {
        String message = failure.getMessage();
        if (failure instanceof OutOfMemoryError) return "out of memory: " + message + "; a smaller --ctx or --kv int8 needs less";
        return message == null || message.isBlank() ? failure.getClass().getName() + " (LACUNA_DEBUG=1 shows where)" : message.strip();
    }
}
