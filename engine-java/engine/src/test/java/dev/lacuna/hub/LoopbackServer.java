package dev.lacuna.hub;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;

/** An HTTP server of raw sockets, one request a connection: the faults of a network are easier to make without a server's help. */
final class LoopbackServer implements AutoCloseable {
    private final ServerSocket socket;
    private final Handler handler;
    final List<Request> requests = new CopyOnWriteArrayList<>();
    final AtomicLong bodyBytes = new AtomicLong();
    final AtomicLong hangUps = new AtomicLong();

    record Request(String method, String target, Map<String, String> headers) {
        String header(String name) {
            return headers.get(name.toLowerCase(Locale.ROOT));
        }

        /** First byte that is asked for. */
        int from() {
            String range = header("Range");
            return range == null ? 0 : Integer.parseInt(range.replaceAll("bytes=(\\d+)-", "$1"));
        }
    }

    @FunctionalInterface
    interface Handler {
        void handle(Request request, Reply reply) throws Exception;
    }

    final class Reply {
        private final Socket client;

        Reply(Socket client) {
            this.client = client;
        }

        Reply head(int status, Object... headers) throws IOException {
            StringBuilder head = new StringBuilder("HTTP/1.1 " + status + " X\r\nConnection: close\r\n");
            for (int i = 0; i < headers.length; i += 2) head.append(headers[i]).append(": ").append(headers[i + 1]).append("\r\n");
            client.getOutputStream().write(head.append("\r\n").toString().getBytes(StandardCharsets.US_ASCII));
            return this;
        }

        Reply body(byte[] bytes, int from, int to) throws IOException {
            OutputStream out = client.getOutputStream();
            for (int at = from; at < to; at += 8192) {
                int length = Math.min(8192, to - at);
                out.write(bytes, at, length);
                bodyBytes.addAndGet(length);
            }
            out.flush();
            return this;
        }

        void text(int status, String text, Object... headers) throws IOException {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            Object[] all = java.util.Arrays.copyOf(headers, headers.length + 2);
            all[headers.length] = "Content-Length";
            all[headers.length + 1] = bytes.length;
            head(status, all).body(bytes, 0, bytes.length);
        }

        /** Waits before the connection breaks: the JDK's client drops what it has read and not yet handed on when the end comes at once. */
        void breakLater() throws IOException {
            try {
                Thread.sleep(300);
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
        }

        void reset() throws IOException {
            client.setSoLinger(true, 0);
            client.close();
        }

        /** What a good server answers: ranges, If-Range, entity tag. */
        void file(Request request, byte[] content, String tag) throws IOException {
            boolean same = request.header("If-Range") == null || request.header("If-Range").equals(tag);
            int from = same ? request.from() : 0;
            if (from > 0) {
                head(206, "ETag", tag, "Content-Length", content.length - from, "Content-Range",
                        "bytes " + from + "-" + (content.length - 1) + "/" + content.length);
            } else {
                head(200, "ETag", tag, "Content-Length", content.length);
            }
            if (!request.method().equals("HEAD")) body(content, from, content.length);
        }
    }

    LoopbackServer(Handler handler) {
        this.handler = handler;
        try {
            socket = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
        Thread.ofVirtual().start(this::accept);
    }

    private void accept() {
        while (!socket.isClosed()) {
            try {
                Socket client = socket.accept();
                Thread.ofVirtual().start(() -> serve(client));
            } catch (IOException closed) {
                return;
            }
        }
    }

    private void serve(Socket client) {
        try (client) {
            InputStream in = new BufferedInputStream(client.getInputStream());
            String[] first = line(in).split(" ");
            if (first.length < 2) return;
            Map<String, String> headers = new LinkedHashMap<>();
            for (String line = line(in); !line.isEmpty(); line = line(in)) {
                int colon = line.indexOf(':');
                headers.put(line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).strip());
            }
            Request request = new Request(first[0], first[1], headers);
            requests.add(request);
            handler.handle(request, new Reply(client));
        } catch (IOException gone) {
            hangUps.incrementAndGet();
        } catch (Exception failed) {
            throw new IllegalStateException("the test's handler failed", failed);
        }
    }

    private static String line(InputStream in) throws IOException {
        StringBuilder line = new StringBuilder();
        for (int next = in.read(); next >= 0 && next != '\n'; next = in.read()) {
            if (next != '\r') line.append((char) next);
        }
        return line.toString();
    }

    int port() {
        return socket.getLocalPort();
    }

    String address(String path) {
        return "http://127.0.0.1:" + port() + path;
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
