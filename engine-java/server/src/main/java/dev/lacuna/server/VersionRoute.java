package dev.lacuna.server;

/** What answers here. */
final class VersionRoute implements Route {
    @Override
    public String method() {
        return "GET";
    }

    @Override
    public String path() {
        return "/version";
    }

    /** The version of this build. */
    static String version() {
        String version = VersionRoute.class.getPackage().getImplementationVersion();
        return version == null ? "unpacked" : version;
    }

    @Override
    public void handle(Exchange x) {
        x.send(new Replies.Version(version(), "lacuna", Runtime.version().toString()));
    }
}
