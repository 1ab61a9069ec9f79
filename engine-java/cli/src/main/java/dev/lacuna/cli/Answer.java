package dev.lacuna.cli;

import dev.lacuna.generate.Generation;
import dev.lacuna.generate.Result;
import dev.lacuna.text.ThinkingSplitter;
import dev.lacuna.text.ThinkingSplitter.Kind;
import dev.lacuna.text.ThinkingSplitter.Part;
import java.io.PrintStream;
import java.util.List;

/** Shows answers as they come. */
final class Answer {
    private static final String DIM = "\u001b[2m";
    private static final String PLAIN = "\u001b[22m";

    private Answer() {}

    /** Prints the pieces as they are and a line break; stops generating when nobody reads any more. */
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

    /** Prints the answer and a line break, thinking to {@code err}; stops generating when nobody reads any more. */
    static void stream(Generation generation, ThinkingSplitter splitter, PrintStream out, PrintStream err) {
        boolean left = false;
        for (String piece : generation) {
            if (!left) left = print(splitter.add(piece), out, err);
            if (left) generation.cancel();
        }
        if (left || print(splitter.finish(), out, err)) return;
        out.println();
        out.flush();
    }

    /** Whether the reader has left. */
    private static boolean print(List<Part> parts, PrintStream out, PrintStream err) {
        for (Part p : parts) {
            if (p.kind() == Kind.THINKING) err.print(p.text());
            else
                out.print(p.text());
        }
        err.flush();
        return out.checkError(); // flushes
    }

    /** Parts of an answer for a terminal, thinking dimmed. */
    static String dimmed(List<Part> parts) {
        StringBuilder text = new StringBuilder();
        for (Part p : parts) {
            if (p.kind() == Kind.THINKING) text.append(DIM).append(p.text()).append(PLAIN);
            else
                text.append(p.text());
        }
        return text.toString();
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
