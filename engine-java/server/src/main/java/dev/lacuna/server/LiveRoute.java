package dev.lacuna.server;

/** Whether the process answers at all; needs no key and touches no model. */
final class LiveRoute implements Route {
    @Override
    public String method() {
        return "GET";
    }

    @Override
    public String path() {
        return "/health/live";
    }

    @Override
    public boolean open() {
        return true;
    }

    @Override
    public void handle(Exchange x) {
        x.send(new Replies.Health("ok"));
    }
}
