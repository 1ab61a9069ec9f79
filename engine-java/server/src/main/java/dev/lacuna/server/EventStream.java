package dev.lacuna.server;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/** Server-sent events, each sent at once. */
final class EventStream implements AutoCloseable {
    private static final byte[] DATA = "data: ".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] END = "\n\n".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] DONE = "data: [DONE]\n\n".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] PING = ": ping\n\n".getBytes(StandardCharsets.US_ASCII);

    private final OutputStream out;
    private final Wire wire;

    EventStream(OutputStream out, Wire wire) {
        this.out = out;
        this.wire = wire;
    }

    void send(Object value) {
        ByteArrayOutputStream event = new ByteArrayOutputStream(512);
        event.writeBytes(DATA);
        event.writeBytes(wire.write(value)); // JSON has no line breaks of its own
        event.writeBytes(END);
        write(event.toByteArray());
    }

    /** A comment, which readers skip: proxies see that the connection lives, and we that the client does. */
    void ping() {
        write(PING);
    }

    void done() {
        write(DONE);
    }

    private void write(byte[] bytes) {
        try {
            out.write(bytes);
            out.flush();
        } catch (IOException | RuntimeException e) {
            throw new ClientGoneException();
        }
    }

    @Override
    public void close() {
        try {
            out.close();
        } catch (IOException | RuntimeException e) {
            throw new ClientGoneException();
        }
    }
}
