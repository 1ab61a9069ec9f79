package dev.lacuna.server;

/** One method on one path. */
interface Route {
    String method();

    /** The path; with {@code *} at its end, all that begin so. */
    String path();

    /** Whether it is served without a key. */
    default boolean open() {
        return false;
    }

    void handle(Exchange exchange) throws Exception;
}
