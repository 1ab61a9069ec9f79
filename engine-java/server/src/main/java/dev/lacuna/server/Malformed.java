package dev.lacuna.server;

import io.helidon.http.DirectHandler;
import io.helidon.http.DirectHandler.EventType;
import io.helidon.http.HeaderNames;
import io.helidon.http.ServerResponseHeaders;
import io.helidon.http.Status;
import io.helidon.webserver.http.DirectHandlers;

/** Answers to what is no request. */
final class Malformed {
    private Malformed() {}

    static DirectHandlers handlers(Wire wire) {
        DirectHandlers.Builder all = DirectHandlers.builder();
        for (EventType type : EventType.values()) {
            all.addHandler(type, (_, _, status, headers, _) -> answer(wire, status, headers));
        }
        return all.build();
    }

    private static DirectHandler.TransportResponse answer(Wire wire, Status status, ServerResponseHeaders headers) {
        ClientConnection.current().lingering();
        // handlers answer their own failures: what fails outside of them is what was sent
        Status said = status.code() == 500 ? Status.BAD_REQUEST_400 : status;
        ApiException e = ApiException.refused(said.code(), "malformed_request",
                "this is not a request that HTTP/1.1 allows, or it is too large");
        return DirectHandler.TransportResponse.builder().status(said).headers(headers).header(HeaderNames.CONTENT_TYPE, "application/json")
                .keepAlive(false).entity(wire.write(e.reply())).build();
    }
}
