package dev.lacuna.text;

/** What one rendering may use, and the line it is at. */
final class Budget {
    /** Statements, turns of loops and calls. */
    static final int STEPS = 100_000;
    /** Expressions evaluated and characters or items handled. */
    static final long WORK = 64L << 20;
    /** Characters of output, and of any one string. */
    static final int TEXT = 4 << 20;
    /** Nested evaluations; each takes a few frames of the thread's stack. */
    static final int DEPTH = 512;
    /** Nested macro calls, and lists within lists. */
    static final int NESTING = 64;

    int line = 1;
    private int steps;
    private long work;
    private int depth;

    TemplateException fail(String message) {
        return new TemplateException(message, line);
    }

    void step() {
        if (++steps > STEPS) {
            throw fail("more than " + STEPS + " steps");
        }
    }

    void work(long amount) {
        work += amount;
        if (work > WORK || amount < 0) {
            throw fail("too much work: more than " + WORK + " expressions, characters and items");
        }
    }

    void enter() {
        if (++depth > DEPTH) {
            throw fail("nested deeper than " + DEPTH + " evaluations");
        }
    }

    void leave() {
        depth--;
    }

    void nesting(int level) {
        if (level > NESTING) {
            throw fail("nested deeper than " + NESTING + " levels");
        }
    }

    /** Charges for looking for a part in a text: the plain search takes longer for longer parts. */
    void search(String text, String part) {
        work(text.length() * (1L + part.length() / 64));
    }

    /** Checks the length of a string before it is made. */
    void text(long length) {
        if (length > TEXT) {
            throw fail("a text of more than " + TEXT + " characters");
        }
        work(length);
    }
}
