package dev.lacuna.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.lacuna.Lacuna;
import dev.lacuna.hub.ModelNotAvailableException;
import dev.lacuna.hub.ModelStore;
import dev.lacuna.hub.Progress;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The README's example: is in the README, compiles and runs with two artifacts and Jackson on the class path and no flag. */
class EmbeddedChatTest {
    private static final String PACKAGE = "package dev.lacuna.examples;\n\n";
    private static final String SOURCE = "kernels-cpu/src/test/java/dev/lacuna/examples/EmbeddedChat.java";

    private static Path root() {
        Path at = Path.of("").toAbsolutePath();
        while (!Files.isDirectory(at.resolve(".mvn"))) at = at.getParent();
        return at;
    }

    private static String source() throws IOException {
        String source = Files.readString(root().resolve(SOURCE));
        assertTrue(source.startsWith(PACKAGE));
        return source.substring(PACKAGE.length());
    }

    @Test
    void isInTheReadme() throws IOException {
        String readme = Files.readString(root().resolve("README.md"));
        assertTrue(readme.contains("```java\n" + source() + "```\n"), "README.md does not show " + SOURCE + " without its package line");
        long lines = source().lines().filter(l -> !l.isBlank() && !l.strip().equals("}")).count();
        assertTrue(lines <= 10, lines + " lines");
    }

    /** What a service has: the engine, the kernels, and the engine's JSON library. */
    private static String classPath() {
        List<String> entries = Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                .filter(e -> e.matches(
                        ".*/(engine|kernels-cpu)/target/(classes|lacuna-(engine|kernels-cpu)-[^/]*(?<!tests)\\.jar)|.*/jackson-[^/]*\\.jar"))
                .toList();
        return entries.stream().collect(Collectors.joining(File.pathSeparator));
    }

    @Test
    void runsWithoutFlags(@TempDir Path folder) throws IOException, InterruptedException {
        try {
            ModelStore.open().pull(Lacuna.DEFAULT_MODEL, Progress.NONE);
        } catch (ModelNotAvailableException e) {
            abort("the default model cannot be had here: " + e.getMessage());
        }
        Path source = Files.writeString(folder.resolve("EmbeddedChat.java"), source());
        int compiled = ToolProvider.getSystemJavaCompiler().run(null, null, null, "-cp", classPath(), "-d", folder.toString(),
                source.toString());
        assertEquals(0, compiled);
        Path err = folder.resolve("err.txt");
        Path out = folder.resolve("out.txt");
        ProcessBuilder builder = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-cp",
                folder + File.pathSeparator + classPath(), "EmbeddedChat").redirectOutput(out.toFile()).redirectError(err.toFile());
        List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS").forEach(builder.environment().keySet()::remove);
        Process run = builder.start();
        assertTrue(run.waitFor(120, TimeUnit.SECONDS), "no end in 120 s");
        assertEquals(0, run.exitValue(), Files.readString(err));
        assertFalse(Files.readString(out).isBlank(), Files.readString(err));
    }
}
