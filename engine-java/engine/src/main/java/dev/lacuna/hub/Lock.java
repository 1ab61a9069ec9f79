package dev.lacuna.hub;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/** One fetch of a model at a time, among the threads of this JVM and among processes: a file lock alone throws when two threads want it. */
final class Lock implements AutoCloseable {
    private static final ConcurrentHashMap<Path, ReentrantLock> THREADS = new ConcurrentHashMap<>();

    private final ReentrantLock threads;
    private final FileChannel channel;
    private final FileLock processes;

    private Lock(ReentrantLock threads, FileChannel channel, FileLock processes) {
        this.threads = threads;
        this.channel = channel;
        this.processes = processes;
    }

    static Lock of(Path file, String what, Progress progress) throws FetchException, InterruptedException {
        ReentrantLock threads = THREADS.computeIfAbsent(file.toAbsolutePath().normalize(), _ -> new ReentrantLock());
        boolean told = !threads.tryLock();
        if (told) {
            progress.notice("somebody else is fetching " + what + ": waiting for it");
            threads.lockInterruptibly();
        }
        FileChannel channel = null;
        try {
            Files.createDirectories(file.toAbsolutePath().getParent());
            channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            FileLock processes = channel.tryLock();
            if (processes == null) {
                if (!told) progress.notice("another process is fetching " + what + ": waiting for it");
                processes = channel.lock();
            }
            return new Lock(threads, channel, processes);
        } catch (IOException failed) {
            release(threads, channel);
            throw Sink.disk(file, failed);
        } catch (RuntimeException | Error failed) {
            release(threads, channel);
            throw failed;
        }
    }

    private static void release(ReentrantLock threads, @Nullable FileChannel channel) throws FetchException {
        try {
            if (channel != null) channel.close();
        } catch (IOException failed) {
            throw new FetchException("a lock cannot be given back: " + FetchException.reason(failed), failed);
        } finally {
            threads.unlock();
        }
    }

    @Override
    public void close() throws FetchException {
        try {
            processes.release();
        } catch (IOException failed) {
            throw new FetchException("a lock cannot be given back: " + FetchException.reason(failed), failed);
        } finally {
            release(threads, channel);
        }
    }
}
