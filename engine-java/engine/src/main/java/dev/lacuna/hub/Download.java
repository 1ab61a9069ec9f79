package dev.lacuna.hub;

import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * One file by HTTP, resumable. What is on disk is extended only by an answer that provably continues it: status 206, a Content-Range that begins
 * where the file ends, and the entity tag of before (or, without a strong tag, a sha256 that decides about the whole in the end).
 */
final class Download {
    private static final Pattern CONTENT_RANGE = Pattern.compile("bytes (\\d{1,18})-(\\d{1,18})/(\\d{1,18}|\\*)");

    private final Web web;
    private final Wanted wanted;
    private final Progress progress;
    private final Path tagFile;
    private boolean begun;
    private long shown;
    private boolean probed;

    /**
     * What to fetch.
     *
     * @param token  for the origin of the address only
     * @param bytes  -1 if unknown
     * @param sha256 null if unknown
     */
    record Wanted(URI uri, @Nullable String token, Path target, long bytes, @Nullable String sha256) {
    }

    private Download(Web web, Wanted wanted, Progress progress) {
        this.web = web;
        this.wanted = wanted;
        this.progress = progress;
        this.tagFile = wanted.target().resolveSibling(wanted.target().getFileName() + ".etag");
    }

    /** The server asks to come back later. */
    private static final class Busy extends FetchException.Broken {
        private static final long serialVersionUID = 1L;
        final long waitSeconds;

        Busy(String message, long waitSeconds) {
            super(message);
            this.waitSeconds = waitSeconds;
        }
    }

    /** The file under its final name; returns its sha256. */
    static String fetch(Web web, Wanted wanted, Progress progress) throws IOException, InterruptedException {
        Download download = new Download(web, wanted, progress);
        try {
            return download.run();
        } finally {
            if (download.begun) progress.end();
        }
    }

    private String run() throws IOException, InterruptedException {
        boolean resumed = Files.exists(Sink.incomplete(wanted.target()));
        try {
            return once();
        } catch (Sink.WrongSha256 wrong) {
            if (!resumed) throw wrong;
            progress.notice(wrong.getMessage() + ": it had been resumed, so once more from the start");
            return once();
        }
    }

    private String once() throws IOException, InterruptedException {
        try (Sink sink = Sink.resume(wanted.target())) {
            transfer(sink);
            try {
                return sink.finish(wanted.bytes(), wanted.sha256());
            } finally {
                writeTag(null);
            }
        }
    }

    private void transfer(Sink sink) throws IOException, InterruptedException {
        long most = sink.length();
        int fruitless = 0;
        while (true) {
            try {
                attempt(sink);
                return;
            } catch (FetchException.Unreachable gone) {
                // at the beginning the next source is the better idea, later it may come back
                if (!probed) throw gone;
                fruitless = again(sink, gone, fruitless, most);
            } catch (FetchException.Broken failure) {
                fruitless = again(sink, failure, fruitless, most);
            }
            most = Math.max(most, sink.length());
        }
    }

    /** Counts an attempt that failed; gives up after too many in a row without a new byte. */
    private int again(Sink sink, FetchException failure, int fruitless, long most) throws FetchException, InterruptedException {
        int count = sink.length() > most ? 1 : fruitless + 1;
        if (count >= web.limits.attempts()) {
            throw new FetchException(failure.getMessage() + "; given up after " + count + " attempts in a row without progress, " + sink.length()
                    + " bytes are kept for the next pull", failure);
        }
        progress.notice(failure.getMessage() + "; going on at byte " + sink.length());
        long wait = web.limits.backOff().toMillis() * count;
        if (failure instanceof Busy busy) wait = Math.max(wait, Math.min(busy.waitSeconds, 10) * 1000);
        Thread.sleep(wait);
        return count;
    }

    private void attempt(Sink sink) throws IOException, InterruptedException {
        String tag = readTag();
        if (sink.length() > 0 && (tag == null && wanted.sha256() == null || wanted.bytes() >= 0 && sink.length() > wanted.bytes())) sink.restart();
        if (sink.length() > 0 && sink.length() == wanted.bytes()) {
            show(sink, wanted.bytes());
            return;
        }
        Map<String, String> headers = new HashMap<>();
        if (sink.length() > 0) {
            headers.put("Range", "bytes=" + sink.length() + "-");
            if (tag != null) headers.put("If-Range", tag);
        }
        try (Web.Answer answer = web.ask("GET", wanted.uri(), headers, wanted.token(), false, probed ? web.limits.stall() : web.limits.probe())) {
            probed = true;
            String encoding = answer.header("Content-Encoding");
            if (encoding != null && !encoding.equalsIgnoreCase("identity")) {
                throw new FetchException(answer.uri().getHost() + " sends the file encoded as " + Names.printable(encoding));
            }
            switch (answer.status()) {
                case 200 -> body(sink, answer, whole(sink, answer, tag));
                case 206 -> body(sink, answer, continued(sink, answer, tag));
                case 416 -> {
                    startOver(sink);
                    throw new FetchException.Broken(answer.uri().getHost() + " has nothing at that byte");
                }
                default -> throw refusal(answer);
            }
        }
    }

    private FetchException refusal(Web.Answer answer) {
        int status = answer.status();
        String what = answer.uri().getHost() + " answers " + status + " for " + wanted.target().getFileName();
        if (status == 429 || status >= 500) return new Busy(what, answer.length("Retry-After"));
        return new FetchException(HubApi.explain(status, what));
    }

    /** Takes an answer with the whole file; returns the total, -1 if the server does not say. */
    private long whole(Sink sink, Web.Answer answer, @Nullable String tag) throws FetchException {
        if (sink.length() > 0) {
            String now = answer.header("ETag");
            progress.notice(tag != null && !tag.equals(now) ? wanted.target().getFileName() + " has changed on the server: starting over"
                    : answer.uri().getHost() + " cannot resume: starting over");
            sink.restart();
        }
        long total = answer.length("Content-Length");
        if (total >= 0 && wanted.bytes() >= 0 && total != wanted.bytes()) {
            throw new FetchException(answer.uri().getHost() + " has a file of " + total + " bytes, and " + wanted.bytes() + " were expected");
        }
        if (total < 0 && wanted.bytes() < 0 && !"chunked".equalsIgnoreCase(answer.header("Transfer-Encoding"))) {
            throw new FetchException(answer.uri().getHost() + " does not say how long the file is, so a cut could not be seen");
        }
        writeTag(answer.header("ETag"));
        return total >= 0 ? total : wanted.bytes();
    }

    /** Takes an answer that goes on where the file ends; returns the total. */
    private long continued(Sink sink, Web.Answer answer, @Nullable String tag) throws FetchException {
        String range = answer.header("Content-Range");
        Matcher matcher = CONTENT_RANGE.matcher(range == null ? "" : range);
        boolean fits = matcher.matches() && Long.parseLong(matcher.group(1)) == sink.length() && !matcher.group(3).equals("*")
                && Long.parseLong(matcher.group(2)) == Long.parseLong(matcher.group(3)) - 1;
        if (!fits) {
            startOver(sink);
            throw new FetchException.Broken(answer.uri().getHost() + " sent another part than the one asked for (Content-Range "
                    + (range == null ? "missing" : Names.printable(range)) + ")");
        }
        long total = Long.parseLong(matcher.group(3));
        String now = answer.header("ETag");
        if (tag != null && now != null && !tag.equals(now) || wanted.bytes() >= 0 && total != wanted.bytes()) {
            startOver(sink);
            throw new FetchException.Broken(wanted.target().getFileName() + " has changed on the server: starting over");
        }
        return total;
    }

    private void body(Sink sink, Web.Answer answer, long total) throws IOException, InterruptedException {
        show(sink, total);
        if (total >= 0) sink.expectRoomFor(total - sink.length());
        Body body = answer.response().body();
        for (List<ByteBuffer> buffers = body.next(web.limits.stall()); buffers != null; buffers = body.next(web.limits.stall())) {
            for (ByteBuffer buffer : buffers) {
                int bytes = buffer.remaining();
                if (total >= 0 && bytes > total - sink.length()) {
                    startOver(sink);
                    throw new FetchException(answer.uri().getHost() + " sends more than the " + total + " bytes of the file; removed");
                }
                sink.write(buffer);
                shown += bytes;
                progress.advance(bytes);
            }
        }
        if (total >= 0 && sink.length() < total) {
            throw new FetchException.Broken(answer.uri().getHost() + " ended after " + sink.length() + " of " + total + " bytes");
        }
    }

    /** Makes what is shown equal to what is there. */
    private void show(Sink sink, long total) {
        if (begun && shown == sink.length()) return;
        if (begun) progress.end();
        begun = true;
        shown = sink.length();
        progress.begin(wanted.target().getFileName().toString(), total);
        if (shown > 0) progress.advance(shown);
    }

    private void startOver(Sink sink) throws FetchException {
        sink.restart();
        writeTag(null);
    }

    private @Nullable String readTag() throws FetchException {
        try {
            if (!Files.isRegularFile(tagFile) || Files.size(tagFile) > 1000) return null;
            String tag = Files.readString(tagFile);
            // as it goes back into a header: exactly the strong form of RFC 9110
            return tag.matches("\"[\\x21\\x23-\\x7e]*\"") ? tag : null;
        } catch (IOException unreadable) {
            throw Sink.disk(tagFile, unreadable);
        }
    }

    private void writeTag(@Nullable String tag) throws FetchException {
        try {
            if (tag == null || tag.startsWith("W/")) {
                Files.deleteIfExists(tagFile);
            } else {
                Files.writeString(tagFile, tag);
            }
        } catch (IOException unwritable) {
            throw Sink.disk(tagFile, unwritable);
        }
    }
}
