package dev.lacuna.cli;

import dev.lacuna.generate.Generation;
import dev.lacuna.generate.Result;
import java.io.PrintStream;

/** Shows answers as they come. */
final class Answer {
    private Answer() {}

    /** Prints the pieces and a line break; stops generating when nobody reads any more. */
    static void stream(Generation generation, PrintStream out) {
        for (String piece : generation) {
            out.print(piece);
            if (out.checkError()) { // flushes; true when the reader has left
                generation.cancel();
                return;
            }
        }
        out.println();
        out.flush();
    }

    /** One line of figures. */
    static String stats(Result r) {
        Result.Timings t = r.timings();
        return t.outputRows() + " tokens, " + Size.number(t.outputPerSecond()) + " tokens/s; prompt " + r.promptIds().length + " tokens ("
                + r.cachedTokens() + " cached), " + Size.number(t.promptPerSecond()) + " tokens/s; first token after "
                + Math.round((t.queued() + t.prefill()) / 1e6) + " ms";
    }

    /** Why an answer that was cut ended. */
    static String cut(Result r, int context) {
        return r.contextFull()
                ? "cut: the context of " + context + " tokens is full (--ctx takes more)"
                : "cut after " + r.outputIds().length + " tokens (--max-tokens takes more)";
    }
}
