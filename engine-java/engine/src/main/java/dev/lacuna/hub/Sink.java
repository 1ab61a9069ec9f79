package dev.lacuna.hub;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;

/** A file on its way: {@code NAME.incomplete} until length and sha256 are right, then {@code NAME} by an atomic rename. */
final class Sink implements AutoCloseable {
    private static final int BLOCK = 1 << 20;

    private final Path target;
    private final Path incomplete;
    private final FileChannel channel;
    private final MessageDigest digest = Names.sha256();
    private long length;

    private Sink(Path target, Path incomplete, FileChannel channel) {
        this.target = target;
        this.incomplete = incomplete;
        this.channel = channel;
    }

    static Path incomplete(Path target) {
        return target.resolveSibling(target.getFileName() + ".incomplete");
    }

    /** Goes on where an earlier one stopped. */
    static Sink resume(Path target) throws FetchException {
        Path incomplete = incomplete(target);
        try {
            Files.createDirectories(incomplete.toAbsolutePath().getParent());
            FileChannel channel = FileChannel.open(incomplete, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
            Sink sink = new Sink(target, incomplete, channel);
            sink.hashWhatIsThere();
            return sink;
        } catch (IOException failed) {
            throw disk(incomplete, failed);
        }
    }

    /** Starts from nothing. */
    static Sink create(Path target) throws FetchException {
        Sink sink = resume(target);
        sink.restart();
        return sink;
    }

    private void hashWhatIsThere() throws IOException {
        // no further than its size: what is no plain file may never end
        long size = channel.size();
        ByteBuffer block = ByteBuffer.allocate((int) Math.min(BLOCK, size));
        while (length < size) {
            block.clear().limit((int) Math.min(block.capacity(), size - length));
            if (channel.read(block) < 0) throw new IOException("the file became shorter while it was read");
            digest.update(block.flip());
            length += block.limit();
        }
    }

    long length() {
        return length;
    }

    /** Refuses at once what will not fit. */
    void expectRoomFor(long more) throws FetchException {
        try {
            long room = Files.getFileStore(incomplete.toAbsolutePath().getParent()).getUsableSpace();
            if (more > room) {
                throw new FetchException.Fatal(more + " more bytes are needed in " + incomplete.getParent() + ", and only " + room
                        + " are free; LACUNA_HOME names another folder", new IOException("no room"));
            }
        } catch (FetchException full) {
            throw full;
        } catch (IOException failed) {
            throw disk(incomplete, failed);
        }
    }

    void write(ByteBuffer bytes) throws FetchException {
        digest.update(bytes.duplicate());
        try {
            while (bytes.hasRemaining()) length += channel.write(bytes);
        } catch (IOException failed) {
            throw disk(incomplete, failed);
        }
    }

    void restart() throws FetchException {
        try {
            channel.truncate(0);
            channel.position(0);
        } catch (IOException failed) {
            throw disk(incomplete, failed);
        }
        digest.reset();
        length = 0;
    }

    /**
     * Checks the whole and gives it its name. A file whose sha256 is wrong is removed.
     *
     * @param bytes  expected length, -1 if unknown
     * @param sha256 expected, null if unknown
     * @return the sha256
     */
    String finish(long bytes, @Nullable String sha256) throws FetchException {
        if (bytes >= 0 && length != bytes) {
            discard();
            throw new FetchException(target.getFileName() + " has " + length + " bytes and should have " + bytes + "; removed");
        }
        String actual = HexFormat.of().formatHex(digest.digest());
        if (sha256 != null && !sha256.equals(actual)) {
            discard();
            throw new WrongSha256(target.getFileName() + " has sha256 " + actual + " and should have " + sha256 + "; removed");
        }
        try {
            channel.force(true);
            channel.close();
            move(incomplete, target);
        } catch (IOException failed) {
            throw disk(target, failed);
        }
        return actual;
    }

    /** All bytes are there and are not those that were asked for. */
    static final class WrongSha256 extends FetchException {
        private static final long serialVersionUID = 1L;

        WrongSha256(String message) {
            super(message);
        }
    }

    private void discard() throws FetchException {
        try {
            channel.close();
            Files.deleteIfExists(incomplete);
        } catch (IOException failed) {
            throw disk(incomplete, failed);
        }
    }

    /** Renames so that after a power cut there is the old or the new file. */
    static void move(Path from, Path to) throws IOException {
        try {
            Files.move(from, to, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (AtomicMoveNotSupportedException crossed) {
            throw new IOException(to.getParent() + " cannot rename within itself", crossed);
        }
        // the rename is in the folder; Windows opens no folders
        if (!Environment.windows()) {
            try (FileChannel folder = FileChannel.open(to.toAbsolutePath().getParent(), StandardOpenOption.READ)) {
                folder.force(true);
            }
        }
    }

    static FetchException.Fatal disk(Path file, IOException failed) {
        return new FetchException.Fatal("cannot write " + file + ": " + FetchException.reason(failed)
                + "; free some space or let LACUNA_HOME name a folder that can be written", failed);
    }

    @Override
    public void close() throws FetchException {
        try {
            channel.close();
        } catch (IOException failed) {
            throw disk(incomplete, failed);
        }
    }
}
