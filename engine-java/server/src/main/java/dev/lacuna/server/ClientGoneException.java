package dev.lacuna.server;

/** There is nobody left to answer. */
final class ClientGoneException extends RuntimeException {
    private static final long serialVersionUID = 1;

    ClientGoneException() {
        super("the client has closed the connection", null, false, false);
    }
}
