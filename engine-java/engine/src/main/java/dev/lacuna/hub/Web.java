package dev.lacuna.hub;

import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.channels.UnresolvedAddressException;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/** HTTP for downloads. Redirects are followed by hand, so that a token never leaves the host it is for (the fault of CVE-2025-51471). */
final class Web implements AutoCloseable {
    private static final int MOST_REDIRECTS = 10;

    private final HttpClient client;
    final Limits limits;

    Web(Environment environment, Limits limits) throws FetchException {
        this.limits = limits;
        HttpClient.Builder builder = HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NEVER).connectTimeout(limits.connect())
                .version(HttpClient.Version.HTTP_1_1);
        Proxies.configure(builder, environment);
        client = builder.build();
    }

    /** An answer, and the address that gave it after redirects. */
    record Answer(URI uri, HttpResponse<Body> response) implements AutoCloseable {
        int status() {
            return response.statusCode();
        }

        @Nullable
        String header(String name) {
            return response.headers().firstValue(name).orElse(null);
        }

        /** The header as a number of bytes, -1 if absent or no such number. */
        long length(String name) {
            String value = header(name);
            return value != null && value.matches("\\d{1,18}") ? Long.parseLong(value) : -1;
        }

        @Override
        public void close() {
            response.body().close();
        }
    }

    /**
     * Asks, following redirects.
     *
     * @param token      sent as bearer token to the origin of {@code uri} only
     * @param stayAtHost answers with the redirect itself when it leads to another host
     * @param patience   for the headers of each answer
     */
    Answer ask(String method, URI uri, Map<String, String> headers, @Nullable String token, boolean stayAtHost, Duration patience)
            throws IOException, InterruptedException {
        URI at = uri;
        boolean mayTell = token != null;
        for (int redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
            HttpRequest.Builder request = HttpRequest.newBuilder(at).method(method, HttpRequest.BodyPublishers.noBody())
                    .header("User-Agent", "lacuna").header("Accept-Encoding", "identity");
            headers.forEach(request::header);
            if (mayTell && token != null) request.header("Authorization", "Bearer " + token);
            Answer answer = new Answer(at, send(request.build(), patience));
            String location = answer.header("Location");
            switch (answer.status()) {
                case 301, 302, 303, 307, 308 -> {
                    answer.close();
                    URI next = target(at, location);
                    if (stayAtHost && !sameOrigin(at, next)) return answer;
                    mayTell &= sameOrigin(uri, next);
                    at = next;
                }
                default -> {
                    return answer;
                }
            }
        }
        throw new FetchException(uri.getHost() + " redirected more than " + MOST_REDIRECTS + " times");
    }

    private static URI target(URI from, @Nullable String location) throws FetchException {
        if (location == null) throw new FetchException(from.getHost() + " redirects without saying where to");
        URI to;
        try {
            to = from.resolve(new URI(location));
        } catch (URISyntaxException malformed) {
            throw new FetchException(from.getHost() + " redirects to something that is no address");
        }
        boolean web = "https".equalsIgnoreCase(to.getScheme()) || "http".equalsIgnoreCase(to.getScheme());
        if (!web || to.getHost() == null || to.getRawUserInfo() != null) {
            throw new FetchException(from.getHost() + " redirects to something that is no plain web address");
        }
        if (!"https".equalsIgnoreCase(to.getScheme())) {
            boolean safe = "http".equalsIgnoreCase(from.getScheme()) && (loopback(to.getHost()) || to.getHost().equalsIgnoreCase(from.getHost()));
            if (!safe) throw new FetchException(from.getHost() + " redirects to " + to.getHost() + " without encryption: refused");
        }
        return to;
    }

    private HttpResponse<Body> send(HttpRequest request, Duration patience) throws IOException, InterruptedException {
        String host = request.uri().getHost();
        // request timeouts of the JDK cover different things in different versions, and none covers a slow resolver
        CompletableFuture<HttpResponse<Body>> answer = client.sendAsync(request, _ -> new Body());
        try {
            return answer.get(patience.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException slow) {
            throw new FetchException.Unreachable(host + " did not answer within " + patience.toMillis() / 1000.0 + " s", slow);
        } catch (ExecutionException failed) {
            Throwable cause = failed.getCause() == null ? failed : failed.getCause();
            throw switch (cause) {
                case HttpConnectTimeoutException slow -> new FetchException.Unreachable(host + " took no connection within " + limits.connect().toMillis() / 1000.0 + " s",
                        slow);
                case ConnectException refused when unresolved(refused) -> new FetchException.Unreachable("the host " + host + " is not known here", refused);
                case ConnectException refused -> new FetchException.Unreachable(host + " takes no connection"
                        + (refused.getMessage() == null ? "" : " (" + Names.printable(refused.getMessage()) + ")"), refused);
                case javax.net.ssl.SSLException ssl -> new FetchException.Unreachable(
                        host + ": no safe connection (" + FetchException.reason(ssl) + "); a company's own authority must be in Java's trust store", ssl);
                default -> new FetchException.Broken(host + ": " + FetchException.reason(cause), cause);
            };
        } finally {
            // no effect on an answer that came
            answer.cancel(true);
        }
    }

    private static boolean unresolved(Throwable failure) {
        for (Throwable at = failure; at != null; at = at.getCause()) {
            if (at instanceof UnresolvedAddressException || at instanceof java.net.UnknownHostException) return true;
        }
        return false;
    }

    static boolean sameOrigin(URI a, URI b) {
        return a.getScheme().equalsIgnoreCase(b.getScheme()) && a.getHost().equalsIgnoreCase(b.getHost()) && port(a) == port(b);
    }

    static int port(URI uri) {
        if (uri.getPort() >= 0) return uri.getPort();
        return "https".equalsIgnoreCase(uri.getScheme()) ? 443 : 80;
    }

    /** Whether a host name means this machine; names are not resolved. */
    static boolean loopback(String host) {
        String name = host.toLowerCase(Locale.ROOT);
        return name.equals("localhost") || name.equals("[::1]") || name.matches("127(?:\\.\\d{1,3}){3}");
    }

    @Override
    public void close() {
        client.shutdownNow();
    }
}
