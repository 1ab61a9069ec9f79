package dev.lacuna.hub;

/**
 * What a pull tells its caller. Calls come from the thread that pulls. A file that has to be fetched again from its start begins again; what is
 * there from an earlier pull is advanced over at once. Whatever these methods throw ends the pull, which can be resumed.
 */
public interface Progress {
    /** Shows nothing. */
    Progress NONE = new Progress() {
        @Override
        public void begin(String what, long totalBytes) {
            // nobody looks
        }

        @Override
        public void advance(long bytes) {
            // nobody looks
        }

        @Override
        public void end() {
            // nobody looks
        }

        @Override
        public void notice(String line) {
            // nobody looks
        }
    };

    /**
     * A file begins.
     *
     * @param totalBytes its size, -1 if unknown
     */
    void begin(String what, long totalBytes);

    /** So many more bytes of the file that began last. */
    void advance(long bytes);

    /** The file that began last is done or given up. */
    void end();

    /** One line for people: a source that is skipped, a wait for another process, what pip says. */
    void notice(String line);
}
