package dev.lacuna.server;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Runs a command in a folder, for a bounded time. */
final class ChildProcess {
    static final int TOO_LONG = -1;
    static final int NOT_THERE = -2;

    /**
     * How it ended.
     *
     * @param exit   its exit status, or {@link #TOO_LONG} or {@link #NOT_THERE}
     * @param output what it wrote
     */
    record Outcome(int exit, String output) {
        /** The end of what it wrote. */
        String tail() {
            return output.substring(Math.max(0, output.length() - 6000));
        }
    }

    private ChildProcess() {}

    static Outcome run(Path folder, Map<String, String> environment, Duration longest, String... command) throws InterruptedException {
        try {
            Path log = Files.createTempFile("lacuna-child", ".log");
            try {
                ProcessBuilder builder = new ProcessBuilder(List.of(command)).directory(folder.toFile()).redirectErrorStream(true)
                        .redirectOutput(log.toFile());
                builder.environment().putAll(environment);
                Process process;
                try {
                    process = builder.start();
                } catch (IOException e) {
                    return new Outcome(NOT_THERE, e.getMessage());
                }
                process.getOutputStream().close();
                boolean ended = process.waitFor(longest.toMillis(), TimeUnit.MILLISECONDS);
                if (!ended) {
                    process.descendants().forEach(ProcessHandle::destroyForcibly);
                    process.destroyForcibly().waitFor();
                }
                return new Outcome(ended ? process.exitValue() : TOO_LONG, Files.readString(log));
            } finally {
                Files.delete(log);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
