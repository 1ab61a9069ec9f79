package dev.lacuna.server;

import io.helidon.common.buffers.BufferData;
import io.helidon.webserver.ConnectionContext;
import io.helidon.webserver.http1.Http1Config;
import io.helidon.webserver.http1.Http1ConnectionSelector;
import io.helidon.webserver.spi.ServerConnection;
import io.helidon.webserver.spi.ServerConnectionSelector;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** All open connections: gives each its deadlines, and has them kept. */
final class Connections implements ServerConnectionSelector {
    private final ServerLimits limits;
    private final Http1ConnectionSelector http;
    private final Set<ClientConnection> open = ConcurrentHashMap.newKeySet();

    Connections(ServerLimits limits) {
        this.limits = limits;
        Http1Config config = Http1Config.builder().maxHeadersSize(limits.headerBytes()).addReceiveListener(new ClientConnection.Moments())
                .build();
        http = Http1ConnectionSelector.builder().config(config).build();
    }

    @Override
    public int bytesToIdentifyConnection() {
        return http.bytesToIdentifyConnection();
    }

    @Override
    public Support supports(BufferData data) {
        return http.supports(data);
    }

    @Override
    public Set<String> supportedApplicationProtocols() {
        return http.supportedApplicationProtocols();
    }

    @Override
    public ServerConnection connection(ConnectionContext context) {
        ClientConnection c = new ClientConnection(context, limits, http::connection);
        open.add(c);
        return c;
    }

    /** Cuts off who has passed a deadline; to be called every now and then. */
    void check() {
        long now = System.nanoTime();
        open.removeIf(ClientConnection::ended);
        for (ClientConnection c : open) c.check(now);
    }

    int size() {
        return open.size();
    }

    void abortAll() {
        open.forEach(ClientConnection::abort);
        open.clear();
    }
}
