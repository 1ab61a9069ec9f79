package dev.lacuna.hub;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Wheels and jars through the user's own pip and mvn, so that their mirrors, proxies and credentials hold. */
final class Packages {
    private static final String DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy";
    private static final Pattern ANNOUNCED = Pattern.compile("Downloading .*\\(([0-9.]+) (kB|MB|GB)\\)");
    private static final Pattern PASSWORD = Pattern.compile("://[^/@\\s]+@");
    private static final Pattern ESCAPE = Pattern.compile("\\x1b\\[[0-9;?]*[A-Za-z]");
    private static final int LAST_LINES = 4;

    private final Environment environment;
    private final Limits limits;

    Packages(Environment environment, Limits limits) {
        this.environment = environment;
        this.limits = limits;
    }

    /** Downloads the wheel into {@code folder}, which is empty. */
    Path wheel(Source.PyPi source, Path folder, Progress progress) throws IOException, InterruptedException {
        List<List<String>> pips = new ArrayList<>();
        environment.program("python3").ifPresent(python -> pips.add(List.of(python.toString(), "-m", "pip")));
        for (String name : List.of("pip3", "pip")) environment.program(name).ifPresent(pip -> pips.add(List.of(pip.toString())));
        for (List<String> pip : pips) {
            List<String> command = new ArrayList<>(pip);
            command.addAll(List.of("download", "--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"));
            // an index that cannot be reached should be said soon; who wants patience sets it
            if (environment.get("PIP_RETRIES").isEmpty()) command.addAll(List.of("--retries", "1"));
            command.addAll(List.of("--dest", folder.toString(), source.name() + "==" + source.version()));
            Outcome outcome = run(command, new Watched("pip", folder, ".whl"), progress);
            if (outcome.exit == 0) return only(folder, ".whl", "pip");
            if (outcome.lines.stream().noneMatch(line -> line.contains("No module named pip"))) {
                throw new FetchException("pip ended with code " + outcome.exit + ": " + String.join(" | ", outcome.lines));
            }
        }
        throw new FetchException("there is no pip on the PATH (neither python3 -m pip nor pip3 nor pip); installing Python with pip brings one");
    }

    /** Downloads the jar into {@code folder}, which is empty. */
    Path jar(Source.Maven source, Path folder, Progress progress) throws IOException, InterruptedException {
        Path mvn = environment.program("mvn").orElseThrow(() -> new FetchException("there is no mvn on the PATH; installing Maven brings one"));
        Outcome outcome = run(List.of(mvn.toString(), "--batch-mode", DEPENDENCY_PLUGIN,
                "-Dartifact=" + source.group() + ":" + source.artifact() + ":" + source.version() + ":jar", "-DoutputDirectory=" + folder), 
                new Watched("mvn", folder, ".jar"), progress);
        if (outcome.exit != 0) throw new FetchException("mvn ended with code " + outcome.exit + ": " + String.join(" | ", outcome.lines));
        return only(folder, ".jar", "mvn");
    }

    private static Path only(Path folder, String ending, String tool) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            List<Path> found = files.filter(file -> file.getFileName().toString().endsWith(ending) && Files.isRegularFile(file)).toList();
            if (found.size() == 1) return found.getFirst();
            throw new FetchException(tool + " ended well and left " + found.size() + " " + ending + " files instead of one");
        }
    }

    private record Outcome(int exit, List<String> lines) {
    }

    /** Runs the tool without a shell; its lines are notices, its growing file is the progress. */
    private Outcome run(List<String> command, Watched watched, Progress progress) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(command).directory(watched.folder.toFile()).redirectErrorStream(true);
        Map<String, String> variables = new HashMap<>(environment.variables());
        // the hub's token is none of their business
        variables.keySet().removeAll(List.of("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"));
        for (String name : List.of("TMPDIR", "TEMP", "TMP")) variables.put(name, watched.folder.toString());
        builder.environment().clear();
        builder.environment().putAll(variables);
        Process process;
        try {
            process = builder.start();
        } catch (IOException failed) {
            throw new FetchException(command.getFirst() + " cannot be started: " + FetchException.reason(failed), failed);
        }
        try {
            process.getOutputStream().close();
            BlockingQueue<Optional<String>> output = new LinkedBlockingQueue<>();
            Thread.ofVirtual().start(() -> read(process, output));
            return watch(process, output, watched, progress);
        } finally {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
    }

    private static void read(Process process, BlockingQueue<Optional<String>> output) {
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) output.add(Optional.of(line));
        } catch (IOException closed) {
            output.add(Optional.of("(its output broke off: " + closed.getMessage() + ")"));
        }
        output.add(Optional.empty());
    }

    private record Watched(String tool, Path folder, String ending) {
    }

    private Outcome watch(Process process, BlockingQueue<Optional<String>> output, Watched watched, Progress progress)
            throws IOException, InterruptedException {
        Deque<String> last = new ArrayDeque<>();
        long shown = 0;
        long total = -1;
        boolean begun = false;
        long heard = System.nanoTime();
        try {
            while (true) {
                @Nullable
                Optional<String> next = output.poll(100, TimeUnit.MILLISECONDS);
                if (next != null) {
                    if (next.isEmpty()) break;
                    heard = System.nanoTime();
                    String line = Names.printable(PASSWORD.matcher(ESCAPE.matcher(next.get()).replaceAll("")).replaceAll("://***@"));
                    if (line.isEmpty()) continue;
                    last.add(line);
                    if (last.size() > LAST_LINES) last.removeFirst();
                    Matcher announced = ANNOUNCED.matcher(line);
                    if (announced.find()) total = bytes(announced.group(1), announced.group(2));
                    if (worthSaying(line)) progress.notice(watched.tool + ": " + line);
                }
                long there = largest(watched.folder, watched.ending);
                if (there > shown) {
                    heard = System.nanoTime();
                    if (!begun) progress.begin(watched.tool, total);
                    begun = true;
                    progress.advance(there - shown);
                    shown = there;
                } else if (System.nanoTime() - heard > limits.packageStall().toNanos()) {
                    throw new FetchException(watched.tool + " gave no sign of life for " + limits.packageStall().toSeconds() + " s");
                }
            }
        } finally {
            if (begun) progress.end();
        }
        return new Outcome(process.waitFor(), List.copyOf(last));
    }

    private static boolean worthSaying(String line) {
        return Stream.of("Downloading", "Using cached", "WARNING", "ERROR", "[WARNING]", "[ERROR]", "Downloaded from").anyMatch(line::startsWith);
    }

    private static long bytes(String number, String unit) {
        double scale = switch (unit) {
            case "kB" -> 1e3;
            case "MB" -> 1e6;
            default -> 1e9;
        };
        try {
            return Math.round(Double.parseDouble(number) * scale);
        } catch (NumberFormatException odd) {
            return -1;
        }
    }

    /** Size of the largest file of that ending; they come and go while the tool works. */
    private static long largest(Path folder, String ending) {
        long largest = 0;
        Deque<java.io.File> folders = new ArrayDeque<>(List.of(folder.toFile()));
        while (!folders.isEmpty()) {
            java.io.File[] children = folders.remove().listFiles();
            if (children == null) continue;
            for (java.io.File child : children) {
                if (child.isDirectory()) folders.add(child);
                else if (child.getName().endsWith(ending)) largest = Math.max(largest, child.length());
            }
        }
        return largest;
    }
}
