package dev.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The launcher script, in a copy of the project's folders with JDKs and a Maven that only tell what they were asked. */
class LauncherTest {
    private static final List<String> TOOLS = List.of("sh", "sed", "find", "head", "tail", "grep", "cat", "date", "mkdir", "rm", "rmdir",
            "mv", "cksum",
            "dirname", "readlink", "flock", "sleep", "nice", "touch");

    @TempDir
    Path folder;
    private Path root;
    private Path tools;
    private Path jdks;
    private final Map<String, String> environment = new HashMap<>();

    private record Run(int status, List<String> out, String err) {}

    @BeforeEach
    void makeProject() throws IOException {
        Path script = projectRoot().resolve("lacuna");
        assumeTrue(Files.isExecutable(Path.of("/bin/sh")), "no /bin/sh here");
        root = Files.createDirectories(folder.resolve("a folder with spaces/project"));
        Files.copy(script, root.resolve("lacuna"));
        root.resolve("lacuna").toFile().setExecutable(true);
        Path source = Files.createDirectories(root.resolve("engine-java/cli/src/main")).resolve("Source.java");
        Files.writeString(source, "");
        Files.setLastModifiedTime(source, FileTime.from(Instant.now().minusSeconds(60)));
        tools = Files.createDirectories(folder.resolve("tools"));
        for (String tool : TOOLS) {
            for (String bin : List.of("/bin/", "/usr/bin/")) {
                Path there = Path.of(bin + tool);
                if (Files.isExecutable(there)) executable(tools.resolve(tool), "exec " + there + " \"$@\"\n");
            }
        }
        executable(tools.resolve("mvn"), """
                echo "$JAVA_HOME $*" >>'%s'
                sleep 1
                mkdir -p engine-java/cli/target/lib
                : >engine-java/cli/target/lacuna-cli-1.jar
                : >engine-java/cli/target/lib/a.jar
                """.formatted(folder.resolve("builds")));
        jdks = Files.createDirectories(folder.resolve("jdks"));
        environment.put("PATH", tools.toString());
        environment.put("HOME", folder.resolve("home").toString());
        environment.put("LACUNA_JDK_FOLDERS", jdks.toString());
        environment.put("LACUNA_AOT", "0"); // a cache made in the background would write into the folder while it is deleted
    }

    private static Path projectRoot() {
        Path at = Path.of("").toAbsolutePath();
        while (!Files.isDirectory(at.resolve(".mvn"))) at = at.getParent();
        return at;
    }

    private static void executable(Path file, String script) throws IOException {
        Files.writeString(file, "#!/bin/sh\n" + script);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    /** A JDK whose java prints its own path and arguments, and makes the file that {@code AOTCacheOutput} names. */
    private Path jdk(Path home, int major) throws IOException {
        Files.createDirectories(home.resolve("bin"));
        Files.writeString(home.resolve("release"),
                "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"" + (major == 8 ? "1.8.0_412" : major + ".0.1") + "\"\n");
        executable(home.resolve("bin/java"), """
                printf '%s\\n' "$0" "$@"
                for a in "$@"; do case $a in -XX:AOTCacheOutput=*) echo cache >"${a#*=}" ;; esac; done
                """);
        executable(home.resolve("bin/javac"), "");
        return home;
    }

    private Process start(Path launcher, String... args) throws IOException {
        List<String> command = new ArrayList<>(List.of(launcher.toString()));
        command.addAll(List.of(args));
        ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile());
        builder.environment().clear();
        builder.environment().putAll(environment);
        return builder.start();
    }

    private static Run finish(Process p) throws IOException, InterruptedException {
        p.getOutputStream().close();
        String out = new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        String err = new String(p.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(p.waitFor(60, TimeUnit.SECONDS), "the launcher hangs");
        return new Run(p.exitValue(), out.lines().toList(), err);
    }

    /** With C kernels in the build only who asks for the Vector API, or for what there is, pays for the module at start. */
    @Test
    void theVectorApiIsForThoseWhoNeedIt() throws Exception {
        assumeTrue(Files.readString(Path.of("/proc/cpuinfo")).contains("avx2"), "no AVX2 here: the Vector API is always passed");
        jdk(jdks.resolve("25"), 25);
        String flag = "--add-modules=jdk.incubator.vector";
        assertTrue(run("chat").out().contains(flag), "no C kernels were built");
        Path library = root.resolve("kernels-cpu/target/classes/native/linux-x86_64/liblacuna.so");
        Files.createDirectories(library.getParent());
        Files.writeString(library, "");
        assertFalse(run("chat").out().contains(flag));
        assertFalse(run("chat", "what is a vector?").out().contains(flag), "a question is no option");
        assertFalse(run("chat", "--system", "--kernels is an option", "vector").out().contains(flag), "two words of text are none");
        for (String[] needs : new String[][]{{"chat", "--kernels", "vector"}, {"chat", "--kernels=vector"}, {"doctor"}, {"info", "x"},
                {"bench"}}) {
            assertTrue(run(needs).out().contains(flag), List.of(needs).toString());
        }
    }

    private Run run(String... args) throws IOException, InterruptedException {
        return finish(start(root.resolve("lacuna"), args));
    }

    private int builds() throws IOException {
        Path log = folder.resolve("builds");
        return Files.exists(log) ? Files.readAllLines(log).size() : 0;
    }

    @Test
    void findsTheNewJdkBehindAnOldJava() throws Exception {
        Path old = jdk(folder.resolve("old jdk"), 17);
        environment.put("PATH", old.resolve("bin") + ":" + tools);
        environment.put("JAVA_HOME", jdk(folder.resolve("older"), 8).toString());
        jdk(jdks.resolve("a-21"), 21);
        Path wanted = jdk(jdks.resolve("b-25"), 25);
        Run run = run("chat", "two words", "", "Grüße");
        assertEquals(0, run.status(), run.err());
        assertEquals(wanted.resolve("bin/java").toString(), run.out().getFirst());
        int main = run.out().indexOf("dev.lacuna.cli.Main");
        assertEquals(List.of("chat", "two words", "", "Grüße"), run.out().subList(main + 1, run.out().size()));
        assertTrue(run.out().containsAll(List.of("--enable-native-access=ALL-UNNAMED", "--add-modules=jdk.incubator.vector")),
                run.out().toString());
        String target = root.resolve("engine-java/cli/target").toString();
        assertTrue(run.out().contains(target + "/lacuna-cli-1.jar:" + target + "/lib/a.jar"), run.out().toString());
        String build = Files.readString(folder.resolve("builds"));
        assertTrue(build.startsWith(wanted + " ") && build.contains("-pl engine-java/cli -am package"), build);
        assertEquals(2, run.err().lines().filter(l -> l.startsWith("lacuna: ")).count(), run.err());
    }

    @ParameterizedTest
    @ValueSource(strings = {"LACUNA_JAVA_HOME", "JAVA_HOME", "PATH"})
    void whatTheUserNamesGoesFirst(String variable) throws Exception {
        jdk(jdks.resolve("b-25"), 25);
        Path named = jdk(folder.resolve("named 26"), 26);
        environment.put(variable, variable.equals("PATH") ? named.resolve("bin") + ":" + tools : named.toString());
        assertEquals(named.resolve("bin/java").toString(), run("list").out().getFirst());
    }

    @Test
    void saysWhatToInstallWhenThereIsNoJdk() throws Exception {
        jdk(jdks.resolve("a-21"), 21);
        Run run = run("chat");
        assertEquals(6, run.status());
        assertEquals(List.of(), run.out());
        assertTrue(run.err().contains("no JDK 25 or newer") && run.err().contains("adoptium.net"), run.err());
        assertEquals(0, builds());
    }

    @Test
    void saysWhatToInstallWhenThereIsNoMaven() throws Exception {
        jdk(jdks.resolve("b-25"), 25);
        Files.delete(tools.resolve("mvn"));
        Run run = run("chat");
        assertEquals(6, run.status());
        assertTrue(run.err().contains("no mvn on the PATH"), run.err());
    }

    @Test
    void showsTheEndOfAFailedBuild() throws Exception {
        jdk(jdks.resolve("b-25"), 25);
        executable(tools.resolve("mvn"), "echo '[ERROR] Source.java: no such thing'\nexit 1\n");
        Run run = run("chat");
        assertEquals(7, run.status());
        assertTrue(run.err().contains("no such thing") && run.err().contains("launcher.log"), run.err());
        assertEquals(List.of(), run.out());
        assertEquals(7, run("chat").status(), "a failed build counts for nothing");
    }

    @Test
    void buildsOnceAndAgainWhenASourceIsNewer() throws Exception {
        jdk(jdks.resolve("b-25"), 25);
        Process first = start(root.resolve("lacuna"), "list");
        Process second = start(root.resolve("lacuna"), "list");
        assertEquals(0, finish(first).status());
        assertEquals(0, finish(second).status());
        assertEquals(1, builds(), "two first runs at once");
        Run again = run("list");
        assertEquals("", again.err());
        assertEquals(1, builds());
        Files.setLastModifiedTime(root.resolve("engine-java/cli/src/main/Source.java"), FileTime.from(Instant.now().plusSeconds(5)));
        run("list");
        assertEquals(2, builds());
    }

    /** Only who asks for the CUDA kernels waits for their compiler; from then on they are built and loaded with the rest. */
    @Test
    void buildsCudaKernelsOnlyWhenAsked() throws Exception {
        jdk(jdks.resolve("25"), 25);
        Path log = folder.resolve("builds");
        Path target = root.resolve("kernels-cuda/target");
        assertEquals(0, run("chat").status());
        assertTrue(Files.readAllLines(log).getLast().contains("-pl engine-java/cli -am"), Files.readString(log));

        Run none = run("build", "cuda");
        assertEquals(6, none.status(), "a build that made no kernels: " + none.err());
        assertTrue(none.err().contains("no kernels for cuda were built"), none.err());
        assertFalse(run("list").out().toString().contains("kernels-cuda"), "nothing is loaded that was not built");
        assertEquals(2, builds());

        Files.writeString(tools.resolve("mvn"), """
                case "$*" in *kernels-cuda*)
                    mkdir -p kernels-cuda/target/classes/native/cuda kernels-cuda/target/lib
                    : >kernels-cuda/target/classes/native/cuda/a.ptx
                    : >kernels-cuda/target/lacuna-kernels-cuda-1.jar
                    : >kernels-cuda/target/lib/jcuda-1.jar
                esac
                """, StandardOpenOption.APPEND);
        Run asked = run("build", "cuda");
        assertEquals(0, asked.status(), asked.err());
        assertEquals(List.of(), asked.out());
        assertEquals(3, builds());
        assertTrue(Files.readAllLines(log).getLast().contains("-pl engine-java/cli,kernels-cuda -am"), Files.readString(log));
        Run list = run("list");
        assertTrue(list.out().toString().contains(":" + target + "/lacuna-kernels-cuda-1.jar:" + target + "/lib/jcuda-1.jar"),
                list.out().toString());
        assertEquals(3, builds());
        Path source = Files.createDirectories(root.resolve("kernels-cuda/src/main/cuda")).resolve("a.cu");
        Files.writeString(source, "");
        Files.setLastModifiedTime(source, FileTime.from(Instant.now().plusSeconds(5)));
        run("list");
        assertTrue(builds() == 4 && Files.readAllLines(log).getLast().contains("kernels-cuda"), Files.readString(log));
        assertEquals(2, run("build", "opengl").status());
    }

    /** The OpenCL kernels are another part that chat does not wait for; both may be there. */
    @Test
    void buildsOpenClKernelsOnlyWhenAsked() throws Exception {
        jdk(jdks.resolve("25"), 25);
        Path log = folder.resolve("builds");
        Path target = root.resolve("kernels-opencl/target");
        assertEquals(0, run("chat").status());
        assertTrue(Files.readAllLines(log).getLast().contains("-pl engine-java/cli -am"), Files.readString(log));
        Files.writeString(tools.resolve("mvn"), """
                case "$*" in *kernels-opencl*)
                    mkdir -p kernels-opencl/target/lib
                    : >kernels-opencl/target/lacuna-kernels-opencl-1.jar
                    : >kernels-opencl/target/lib/jocl-1.jar
                esac
                """, StandardOpenOption.APPEND);
        Run asked = run("build", "opencl");
        assertEquals(0, asked.status(), asked.err());
        assertTrue(asked.err().contains("the kernels for opencl are built"), asked.err());
        assertTrue(Files.readAllLines(log).getLast().contains("-pl engine-java/cli,kernels-opencl -am"), Files.readString(log));
        String list = run("list").out().toString();
        assertTrue(list.contains(":" + target + "/lacuna-kernels-opencl-1.jar:" + target + "/lib/jocl-1.jar"), list);
        assertEquals(2, builds());
        Files.createDirectories(root.resolve("kernels-cuda/target/classes/native/cuda"));
        Files.writeString(root.resolve("kernels-cuda/target/classes/native/cuda/a.ptx"), "");
        assertEquals(0, run("build", "opencl").status());
        assertTrue(Files.readAllLines(log).getLast().contains("-pl engine-java/cli,kernels-opencl -am"),
                "what nobody asked for is left alone");
        Files.writeString(root.resolve("kernels-cuda/target/asked"), "");
        assertEquals(0, run("build", "opencl").status());
        assertTrue(Files.readAllLines(log).getLast().contains("-pl engine-java/cli,kernels-cuda,kernels-opencl -am"),
                Files.readString(log));
    }

    @Test
    void runsThroughLinks() throws Exception {
        jdk(jdks.resolve("b-25"), 25);
        Path bin = Files.createDirectories(folder.resolve("my bin"));
        Files.createSymbolicLink(folder.resolve("link"), root.resolve("lacuna"));
        Path relative = Files.createSymbolicLink(bin.resolve("lacuna"), Path.of("../link"));
        Run run = finish(start(relative, "list"));
        assertEquals(0, run.status(), run.err());
        assertTrue(run.out().contains("dev.lacuna.cli.Main"), run.out().toString());
        assertTrue(Files.exists(root.resolve("engine-java/cli/target/launcher.stamp")));
    }

    @Test
    void makesTheCacheOfClassesAfterTheFirstChat() throws Exception {
        jdk(jdks.resolve("b-25"), 25);
        environment.remove("LACUNA_AOT");
        Path aot = folder.resolve("home/.cache/lacuna/aot");
        Run first = run("chat", "Hi");
        assertFalse(first.out().stream().anyMatch(a -> a.startsWith("-XX:AOT")), first.out().toString());
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (files(aot, ".aot").isEmpty() && System.nanoTime() < end) Thread.sleep(50);
        assertEquals(1, files(aot, ".aot").size(), "made in the background");
        while (!files(aot, ".lock").isEmpty() && System.nanoTime() < end) Thread.sleep(50);
        assertEquals(List.of(), files(aot, ".lock"), "nothing else is left");
        assertTrue(run("list").out().contains("-XX:AOTCache=" + files(aot, ".aot").getFirst()), "and taken");
        environment.put("LACUNA_AOT", "0");
        assertFalse(run("list").out().stream().anyMatch(a -> a.startsWith("-XX:AOT")));
    }

    private static List<Path> files(Path folder, String ending) throws IOException {
        if (!Files.isDirectory(folder)) return List.of();
        try (var files = Files.list(folder)) {
            return files.filter(f -> f.toString().endsWith(ending)).toList();
        }
    }
}
