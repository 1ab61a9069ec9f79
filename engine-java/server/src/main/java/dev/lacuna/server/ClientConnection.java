package dev.lacuna.server;

import io.helidon.common.buffers.BufferData;
import io.helidon.common.buffers.DataReader;
import io.helidon.common.buffers.DataWriter;
import io.helidon.common.concurrency.limits.Limit;
import io.helidon.common.socket.HelidonSocket;
import io.helidon.common.socket.PeerInfo;
import io.helidon.http.Headers;
import io.helidon.webserver.ConnectionContext;
import io.helidon.webserver.ListenerContext;
import io.helidon.webserver.ProxyProtocolData;
import io.helidon.webserver.Router;
import io.helidon.webserver.http1.Http1ConnectionListener;
import io.helidon.webserver.spi.ServerConnection;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A connection with deadlines, which Helidon has none of for clients that send or read a byte now and then, and with a way to see that the client has
 * gone while its request is being answered: somebody reads on. What is read meanwhile is the beginning of the next request.
 */
final class ClientConnection implements ServerConnection, ConnectionContext {
    /** The connection of the request that this thread answers. */
    private static final ScopedValue<ClientConnection> CURRENT = ScopedValue.newInstance();

    /** How long what comes after a refusal is thrown away. */
    private static final Duration LINGER = Duration.ofMillis(500);

    /** Bytes on the wire for each byte of a body: a chunk of one byte takes six. */
    private static final int CHUNK_OVERHEAD = 8;

    private final ConnectionContext helidon;
    private final HelidonSocket socket;
    private final ServerLimits limits;
    private final DataReader reader = DataReader.create(this::read);
    private final DataWriter writer;
    private final ServerConnection http;
    private final long mostBytes;
    private long received; // of this request
    private boolean answering;
    private boolean lingering;
    private @Nullable CompletableFuture<Optional<byte[]>> ahead;
    private volatile long readBy;
    private volatile long writeBy = Long.MAX_VALUE;
    private volatile boolean closed; // by the client, or cut off
    private volatile boolean ended;
    private volatile @Nullable Runnable onGone;

    ClientConnection(ConnectionContext helidon, ServerLimits limits, Function<ConnectionContext, ServerConnection> http) {
        this.helidon = helidon;
        this.limits = limits;
        socket = helidon.serverSocket();
        writer = new TimedWriter(helidon.dataWriter());
        mostBytes = limits.headerBytes() * 4L + (long) CHUNK_OVERHEAD * limits.bodyBytes();
        readBy = after(limits.stallTimeout());
        this.http = http.apply(this);
    }

    static ClientConnection current() {
        return CURRENT.get();
    }

    private static long after(Duration d) {
        return System.nanoTime() + d.toNanos();
    }

    // ---- what Helidon does with it

    @Override
    public void handle(Limit limit) throws InterruptedException {
        try {
            ScopedValue.where(CURRENT, this).call(() -> {
                http.handle(limit);
                return true;
            });
            if (lingering) linger();
        } finally {
            closed = true;
            ended = true;
        }
    }

    /** The answer refuses what the client is still sending: to close at once would reset the connection, and the answer be lost. */
    void lingering() {
        lingering = true;
    }

    private void linger() {
        readBy = after(LINGER);
        try {
            for (byte[] bytes = read(); bytes != null;) bytes = read();
        } catch (RuntimeException e) {
            closed = true; // by the client, or at the deadline
        }
    }

    @Override
    public Duration idleTime() {
        return http.idleTime();
    }

    @Override
    public void close(boolean interrupt) {
        http.close(interrupt);
    }

    /** The moment at which all headers of a request are there. */
    static final class Moments implements Http1ConnectionListener {
        @Override
        public void headers(ConnectionContext ctx, Headers headers) {
            if (ctx instanceof ClientConnection c) c.readBy = after(c.limits.bodyTimeout());
        }
    }

    // ---- phases of a request

    /** The request is there as a whole; from now on the client is waited for no more, but watched: {@code gone} runs when it closes the connection. */
    void answering(Runnable gone) {
        answering = true;
        readBy = Long.MAX_VALUE;
        onGone = gone;
        if (ahead == null) {
            CompletableFuture<Optional<byte[]>> next = new CompletableFuture<>();
            ahead = next;
            Thread.ofVirtual().name("client-watch").start(() -> watch(next));
        } else if (closed) {
            gone.run();
        }
    }

    private void watch(CompletableFuture<Optional<byte[]>> next) {
        byte[] bytes = null;
        try {
            bytes = socket.get();
        } catch (RuntimeException e) {
            closed = true; // reset, or closed here
        }
        if (bytes == null) {
            closed = true;
            Runnable gone = onGone;
            if (gone != null) gone.run();
        }
        next.complete(Optional.ofNullable(bytes));
    }

    /**
     * The answer is written; the client has its time for the next request, and for what it still sends of this one.
     *
     * @param last whether either side said that there is no next one: Helidon leaves it to the client to close
     */
    void answered(boolean last) {
        if (last) http.close(false);
        onGone = null;
        answering = false;
        received = 0;
        readBy = after(limits.idleTimeout());
    }

    boolean gone() {
        return closed;
    }

    /** Whether nothing reads or writes it any more. */
    boolean ended() {
        return ended;
    }

    private byte @Nullable [] read() {
        byte[] bytes;
        CompletableFuture<Optional<byte[]>> next = ahead;
        if (next == null) {
            bytes = socket.get();
        } else {
            ahead = null;
            bytes = next.join().orElse(null); // ends when the client sends, leaves, or is cut off at its deadline
        }
        if (bytes == null) return null;
        if (received == 0 && !answering && !lingering) readBy = Math.min(readBy, after(limits.stallTimeout()));
        received += bytes.length;
        if (received > mostBytes) {
            abort();
            return null;
        }
        return bytes;
    }

    /** Closes the socket if a deadline has passed; the thread that reads or writes it then fails. */
    void check(long now) {
        if (passed(readBy, now) || passed(writeBy, now)) abort();
    }

    private static boolean passed(long deadline, long now) {
        return deadline != Long.MAX_VALUE && now - deadline > 0;
    }

    void abort() {
        closed = true;
        try {
            socket.close();
        } catch (UncheckedIOException e) {
            helidon.log(System.getLogger(LacunaServer.LOG), System.Logger.Level.TRACE, "closing a connection", e);
        }
    }

    /** Notes how long each write takes. */
    private final class TimedWriter implements DataWriter {
        private final DataWriter to;

        TimedWriter(DataWriter to) {
            this.to = to;
        }

        private void timed(Runnable write) {
            writeBy = after(limits.stallTimeout());
            try {
                write.run();
            } finally {
                writeBy = Long.MAX_VALUE;
            }
        }

        @Override
        public void write(BufferData... buffers) {
            timed(() -> to.write(buffers));
        }

        @Override
        public void write(BufferData buffer) {
            timed(() -> to.write(buffer));
        }

        @Override
        public void writeNow(BufferData... buffers) {
            timed(() -> to.writeNow(buffers));
        }

        @Override
        public void writeNow(BufferData buffer) {
            timed(() -> to.writeNow(buffer));
        }

        @Override
        public void flush() {
            timed(to::flush);
        }

        @Override
        public void close() {
            timed(to::close);
        }
    }

    // ---- the rest of a context

    @Override
    public ListenerContext listenerContext() {
        return helidon.listenerContext();
    }

    @Override
    public ExecutorService executor() {
        return helidon.executor();
    }

    @Override
    public DataWriter dataWriter() {
        return writer;
    }

    @Override
    public DataReader dataReader() {
        return reader;
    }

    @Override
    public Router router() {
        return helidon.router();
    }

    @Override
    public Optional<ProxyProtocolData> proxyProtocolData() {
        return helidon.proxyProtocolData();
    }

    @Override
    public HelidonSocket serverSocket() {
        return socket;
    }

    @Override
    public PeerInfo remotePeer() {
        return helidon.remotePeer();
    }

    @Override
    public PeerInfo localPeer() {
        return helidon.localPeer();
    }

    @Override
    public boolean isSecure() {
        return helidon.isSecure();
    }

    @Override
    public String socketId() {
        return helidon.socketId();
    }

    @Override
    public String childSocketId() {
        return helidon.childSocketId();
    }
}
