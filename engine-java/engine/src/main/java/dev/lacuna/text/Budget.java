package dev.lacuna.text;

/**
 * What one rendering may use, and the line it is at. Steps and work grow with the conversation: a short one is stopped within a tenth of a second also
 * in a virtual machine that has just started, a long one has ample room. The most that 78 models' templates take is 313 steps for a few messages and 20
 * for each of a thousand, and 9 units of work for a character.
 */
final class Budget {
    /** Statements, turns of loops and calls. */
    static final int STEPS = 2_500;
    /** More of them for each item of a variable; a message is three and more. */
    private static final int STEPS_FOR_ITEM = 50;
    /** Expressions evaluated and characters or items handled. */
    static final long WORK = 1 << 17;
    /** More of it for each item and character of a variable. */
    private static final int WORK_FOR_ITEM = 64;
    /** The most of either. */
    private static final long MOST = 64L << 20;
    /** Characters of output, and of any one string. */
    static final int TEXT = 4 << 20;
    /** Nested evaluations; each takes a few frames of the thread's stack. */
    static final int DEPTH = 512;
    /** Nested macro calls, and lists within lists. */
    static final int NESTING = 64;

    int line = 1;
    private long mostSteps = STEPS;
    private long mostWork = WORK;
    private long steps;
    private long work;
    private int depth;

    TemplateException fail(String message) {
        return new TemplateException(message, line);
    }

    /** Makes room for an item of a variable, of so many characters. */
    void input(int characters) {
        mostSteps = Math.min(MOST, mostSteps + STEPS_FOR_ITEM);
        mostWork = Math.min(MOST, mostWork + WORK_FOR_ITEM * (1L + characters));
    }

    void step() {
        if (++steps > mostSteps) {
            throw fail("more than " + mostSteps + " steps");
        }
    }

    void work(long amount) {
        work += amount;
        if (work > mostWork || amount < 0) {
            throw fail("too much work: more than " + mostWork + " expressions, characters and items");
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

    /** Charges for text of the template itself, which is only copied. */
    void literal(int length) {
        work(length / 16);
    }

    /** Checks the length of a string before it is made. */
    void text(long length) {
        if (length > TEXT) {
            throw fail("a text of more than " + TEXT + " characters");
        }
        work(length);
    }
}
