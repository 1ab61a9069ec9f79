package dev.lacuna.hub;

import java.io.IOException;
import java.net.Authenticator;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The proxies of {@code HTTPS_PROXY}, {@code HTTP_PROXY}, {@code ALL_PROXY} and {@code NO_PROXY}, in either case, as curl reads them. */
final class Proxies extends ProxySelector {
    private final Optional<URI> https;
    private final Optional<URI> http;
    private final List<String> direct = new ArrayList<>();

    private Proxies(Optional<URI> https, Optional<URI> http, String noProxy) {
        this.https = https;
        this.http = http;
        for (String entry : noProxy.split("[,\\s]+", -1)) {
            String host = entry.toLowerCase(Locale.ROOT);
            if (host.startsWith("*.")) host = host.substring(2);
            if (host.startsWith(".")) host = host.substring(1);
            if (!host.isEmpty()) direct.add(host);
        }
    }

    /** Lets the client use the environment's proxies; without any it keeps those of the JVM's own properties. */
    static void configure(HttpClient.Builder client, Environment environment) throws FetchException {
        Optional<URI> https = read(environment, "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY");
        Optional<URI> http = read(environment, "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY");
        if (https.isEmpty() && http.isEmpty()) return;
        client.proxy(new Proxies(https, http, environment.get("no_proxy", "NO_PROXY").orElse("")));
        String user = https.or(() -> http).map(URI::getRawUserInfo).orElse(null);
        if (user != null) client.authenticator(new Password(user));
    }

    private static Optional<URI> read(Environment environment, String... names) throws FetchException {
        Optional<String> value = environment.get(names);
        if (value.isEmpty()) return Optional.empty();
        String text = value.get().contains("://") ? value.get() : "http://" + value.get();
        URI uri;
        try {
            uri = URI.create(text);
        } catch (IllegalArgumentException malformed) {
            throw new FetchException("the proxy in " + names[1] + " is no address");
        }
        // never the address itself in a message: it may hold a password
        if (uri.getHost() == null || !"http".equalsIgnoreCase(uri.getScheme())) {
            throw new FetchException("the proxy in " + names[1] + " is none that Java can use: it must read http://host:port");
        }
        return Optional.of(uri);
    }

    @Override
    public List<Proxy> select(@Nullable URI target) {
        if (target == null) throw new IllegalArgumentException("no address");
        Optional<URI> proxy = "https".equalsIgnoreCase(target.getScheme()) ? https : http;
        if (proxy.isEmpty() || goesDirect(target)) return List.of(Proxy.NO_PROXY);
        int port = proxy.get().getPort();
        return List.of(new Proxy(Proxy.Type.HTTP, new InetSocketAddress(proxy.get().getHost(), port < 0 ? 80 : port)));
    }

    private boolean goesDirect(URI target) {
        String host = target.getHost() == null ? "" : target.getHost().toLowerCase(Locale.ROOT);
        String withPort = host + ":" + Web.port(target);
        return direct.stream().anyMatch(entry -> entry.equals("*") || entry.equals(host) || entry.equals(withPort) || host.endsWith("." + entry));
    }

    @Override
    public void connectFailed(@Nullable URI target, @Nullable SocketAddress proxy, @Nullable IOException failure) {
        // the request fails with the same exception, which is told to the user
    }

    /** Answers a proxy, and nobody else. */
    private static final class Password extends Authenticator {
        private final String userInfo;

        Password(String userInfo) {
            this.userInfo = userInfo;
        }

        @Override
        protected @Nullable PasswordAuthentication getPasswordAuthentication() {
            if (getRequestorType() != RequestorType.PROXY) return null;
            int colon = userInfo.indexOf(':');
            String user = colon < 0 ? userInfo : userInfo.substring(0, colon);
            String password = colon < 0 ? "" : userInfo.substring(colon + 1);
            return new PasswordAuthentication(decode(user), decode(password).toCharArray());
        }

        private static String decode(String part) {
            return URLDecoder.decode(part.replace("+", "%2B"), StandardCharsets.UTF_8);
        }
    }
}
