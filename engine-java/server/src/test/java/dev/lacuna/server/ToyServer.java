package dev.lacuna.server;

import dev.lacuna.Checkout;
import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import java.nio.file.Path;
import java.util.List;

/** A server of stories260K, which asks for a key. */
final class ToyServer implements AutoCloseable {
    static final String KEY = "a-key-for-clients";
    static final String MODEL = "stories260K";

    final LacunaServer server;

    ToyServer() {
        Path file = Checkout.shared("models/stories260K/stories260K-f32.gguf");
        // the slowest kernels: with others a page cannot stop what is done before it is shown
        Options options = Options.DEFAULT.withTemplate("chatml").withSessions(8).withKernels("reference");
        server = LacunaServer.start(List.of(new ServedModel(MODEL, () -> Lacuna.open(file, options))),
                ServerOptions.DEFAULT.withPort(0).withKeys(List.of(KEY)));
        server.load();
    }

    /** Its address without a path. */
    String url() {
        return server.uri().toString();
    }

    @Override
    public void close() {
        server.close();
    }
}
