package dev.lacuna.server;

import io.helidon.http.HeaderNames;
import io.helidon.webserver.CloseConnectionException;
import io.helidon.webserver.ServerConnectionException;
import io.helidon.webserver.http.Handler;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.net.SocketException;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** The one door: looks at name, origin and key before it looks for the route, and makes every failure an answer in the same shape. */
final class Dispatcher implements Handler {
    private static final Logger LOG = System.getLogger(LacunaServer.LOG);
    private static final String CORS_AGE = "600";

    private final List<Route> routes;
    private final Guard guard;
    private final Wire wire;
    private final ServerLimits limits;
    private final HttpCounts counts;
    private final Admission admission;

    Dispatcher(List<Route> routes, Guard guard, Wire wire, ServerLimits limits, HttpCounts counts, Admission admission) {
        this.admission = admission;
        this.routes = List.copyOf(routes);
        this.guard = guard;
        this.wire = wire;
        this.limits = limits;
        this.counts = counts;
    }

    @Override
    public void handle(ServerRequest request, ServerResponse response) {
        Exchange x = new Exchange(request, response, wire, limits);
        admission.enter();
        try {
            answer(x);
        } finally {
            admission.leave();
        }
        // Helidon takes a request without an answer for a fault of ours
        if (x.connection().gone()) throw new CloseConnectionException("the client has gone");
    }

    private void answer(Exchange x) {
        String name = "-";
        try {
            Route route = find(x);
            if (route != null) {
                name = route.path();
                route.handle(x);
            }
        } catch (ApiException e) {
            refuse(x, e);
        } catch (ClientGoneException e) {
            LOG.log(Level.DEBUG, "{0}: the client has gone", x.id);
            x.connection().abort();
        } catch (OutOfMemoryError e) {
            LOG.log(Level.WARNING, "{0}: out of memory", x.id);
            refuse(x, ApiException.unavailable("out_of_memory", "there is not enough memory for this request now", 5));
        } catch (Throwable e) {
            failed(x, name, e);
        } finally {
            counts.add(x.status());
            LOG.log(Level.DEBUG, "{0}: {1} {2} {3} in {4} ms", x.id, x.method(), name, x.status(),
                    (System.nanoTime() - x.begun) / 1_000_000);
            x.connection().answered(x.last());
        }
    }

    private void failed(Exchange x, String route, Throwable e) {
        if (x.connection().gone() || broken(e)) {
            // a write may find out before the watch of the connection does
            LOG.log(Level.DEBUG, x.id, e);
            x.connection().abort();
            return;
        }
        // the message may quote what was asked
        LOG.log(Level.ERROR, "{0}: {1} failed with {2} at {3}", x.id, route, e.getClass().getName(), place(e));
        LOG.log(Level.DEBUG, x.id, e);
        refuse(x, ApiException.failed("the server failed; its log has more under " + x.id));
    }

    /** Whether it is the connection that failed. */
    private static boolean broken(Throwable e) {
        for (Throwable t = e; t != null; t = t.getCause()) {
            if (t instanceof SocketException || t instanceof ServerConnectionException || t instanceof CloseConnectionException)
                return true;
        }
        return false;
    }

    private static String place(Throwable e) {
        StackTraceElement[] trace = e.getStackTrace();
        return trace.length == 0 ? "?" : trace[0].toString();
    }

    private static void refuse(Exchange x, ApiException e) {
        if (x.status() != 0) { // too late to say so: the answer ends where it is, unfinished
            x.connection().abort();
            return;
        }
        try {
            x.send(e);
        } catch (RuntimeException failure) {
            x.connection().abort();
        }
    }

    /** The route of a request that may be answered; null where it has been already. */
    private @Nullable Route find(Exchange x) {
        guard.host(x);
        String origin = guard.origin(x);
        if (origin != null) {
            x.header(HeaderNames.ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            x.header(HeaderNames.VARY, "Origin");
            x.header(HeaderNames.ACCESS_CONTROL_EXPOSE_HEADERS, "x-request-id, x-lacuna-ignored-fields, retry-after");
            if (x.method().equals("OPTIONS") && x.header(HeaderNames.ACCESS_CONTROL_REQUEST_METHOD) != null) {
                x.header(HeaderNames.ACCESS_CONTROL_ALLOW_METHODS, "GET, POST");
                x.header(HeaderNames.ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type");
                x.header(HeaderNames.ACCESS_CONTROL_MAX_AGE, CORS_AGE);
                x.sendNothing(204); // browsers ask this without a key
                return null;
            }
        }
        String path = x.path();
        Route match = null;
        Set<String> methods = new TreeSet<>();
        for (Route r : routes) {
            if (!matches(r.path(), path)) continue;
            methods.add(r.method());
            if (match == null && r.method().equals(x.method())) match = r;
        }
        // who has no key learns nothing of what there is
        if (match == null || !match.open()) x.client(guard.key(x));
        if (methods.isEmpty()) throw ApiException.notFound("there is nothing at this path; /openapi.json lists what there is");
        if (match == null) {
            x.header(HeaderNames.ALLOW, String.join(", ", methods));
            throw ApiException.refused(405, "method_not_allowed", "this path knows " + String.join(", ", methods));
        }
        return match;
    }

    private static boolean matches(String pattern, String path) {
        return pattern.endsWith("*")
                ? path.length() >= pattern.length() && path.startsWith(pattern.substring(0, pattern.length() - 1))
                : pattern.equals(path);
    }
}
