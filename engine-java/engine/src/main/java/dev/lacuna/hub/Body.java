package dev.lacuna.hub;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** A response body taken piece by piece, with a limit on the silence between two: the JDK's input stream would wait for ever. */
final class Body implements HttpResponse.BodySubscriber<Body>, AutoCloseable {
    private static final int WINDOW = 16;

    private sealed interface Event {
        record Data(List<ByteBuffer> buffers) implements Event {
        }

        record Failed(Throwable cause) implements Event {
        }

        record Ended() implements Event {
        }
    }

    // the publisher sends no more than was requested, so this holds WINDOW pieces and the end
    private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private volatile Flow.@Nullable Subscription subscription;
    private volatile boolean closed;

    @Override
    public CompletionStage<Body> getBody() {
        return CompletableFuture.completedStage(this);
    }

    @Override
    public void onSubscribe(Flow.Subscription given) {
        subscription = given;
        if (closed) {
            given.cancel();
        } else {
            given.request(WINDOW);
        }
    }

    @Override
    public void onNext(List<ByteBuffer> buffers) {
        events.add(new Event.Data(buffers));
    }

    @Override
    public void onError(Throwable cause) {
        events.add(new Event.Failed(cause));
    }

    @Override
    public void onComplete() {
        events.add(new Event.Ended());
    }

    /** The next buffers, or null at the end. */
    @Nullable
    List<ByteBuffer> next(Duration patience) throws IOException, InterruptedException {
        return switch (events.poll(patience.toMillis(), TimeUnit.MILLISECONDS)) {
            case null -> throw new FetchException.Broken("nothing came for " + patience.toMillis() / 1000.0 + " s");
            case Event.Data(var buffers) -> {
                Flow.Subscription from = subscription;
                if (from != null) from.request(1);
                yield buffers;
            }
            case Event.Failed(var cause) -> throw new FetchException.Broken("the connection broke: " + FetchException.reason(cause), cause);
            case Event.Ended() -> null;
        };
    }

    /** The whole body, which must not be longer than {@code limit} bytes. */
    byte[] all(int limit, Duration patience) throws IOException, InterruptedException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (List<ByteBuffer> buffers = next(patience); buffers != null; buffers = next(patience)) {
            for (ByteBuffer buffer : buffers) {
                if (buffer.remaining() > limit - bytes.size()) throw new FetchException("the answer is longer than " + limit + " bytes");
                byte[] copy = new byte[buffer.remaining()];
                buffer.get(copy);
                bytes.writeBytes(copy);
            }
        }
        return bytes.toByteArray();
    }

    @Override
    public void close() {
        closed = true;
        Flow.Subscription from = subscription;
        if (from != null) from.cancel();
    }
}
