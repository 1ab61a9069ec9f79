package dev.lacuna.server;

import io.helidon.http.DirectHandler;
import io.helidon.http.DirectHandler.EventType;
import io.helidon.http.HeaderNames;
import io.helidon.webserver.http.DirectHandlers;

/** Answers to what is no request. */
final class Malformed {
    private Malformed() {}

    static DirectHandlers handlers(Wire wire) {
        DirectHandlers.Builder all = DirectHandlers.builder();
        for (EventType type : EventType.values()) {
            all.addHandler(type, (_, _, status, headers, _) -> {
                ApiException e = ApiException.refused(status.code(), "malformed_request",
                        "this is not a request that HTTP/1.1 allows, or it is too"
                                + " large");
                return DirectHandler.TransportResponse.builder().status(status).headers(headers)
                        .header(HeaderNames.CONTENT_TYPE, "application/json").keepAlive(false).entity(wire.write(e.reply())).build();
            });
        }
        return all.build();
    }
}
