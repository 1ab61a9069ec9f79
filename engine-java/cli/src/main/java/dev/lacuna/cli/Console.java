package dev.lacuna.cli;

import dev.lacuna.hub.ModelStore;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * What the commands talk to. Only answers go to {@code out}; progress, notices and errors go to {@code err}.
 *
 * @param in          standard input, UTF-8
 * @param out         standard output
 * @param err         standard error
 * @param terminals   which of them are terminals, by the digits of their numbers: {@code "012"} all, {@code ""} none
 * @param environment variables
 * @param store       the models; opened when first needed
 */
record Console(InputStream in, PrintStream out, PrintStream err, String terminals, Map<String, String> environment,
        Supplier<ModelStore> store) {
    /** The process's own streams. */
    static Console system() {
        // the launcher knows each stream; without it Java can say whether input and output are terminals, both or none
        String terminals = System.getProperty("lacuna.terminals");
        if (terminals == null)
            terminals = Optional.ofNullable(System.console()).filter(java.io.Console::isTerminal).isPresent() ? "01" : "";
        return new Console(System.in, stream(FileDescriptor.out), stream(FileDescriptor.err), terminals, System.getenv(), ModelStore::open);
    }

    private static PrintStream stream(FileDescriptor descriptor) {
        return new PrintStream(new FileOutputStream(descriptor), true, StandardCharsets.UTF_8);
    }

    boolean inIsTerminal() {
        return terminals.contains("0");
    }

    boolean outIsTerminal() {
        return terminals.contains("1");
    }

    boolean errIsTerminal() {
        return terminals.contains("2");
    }

    /** One line for people. */
    void notice(String line) {
        err.println("lacuna: " + line);
    }

    /** Tells of a failure and returns the exit status that stands for it. */
    int fail(Throwable failure) {
        notice(Exit.message(failure));
        if ("1".equals(environment.get("LACUNA_DEBUG"))) failure.printStackTrace(err);
        return Exit.code(failure);
    }

    /**
     * All of standard input.
     *
     * @throws IOException if it is not UTF-8
     */
    String input() throws IOException {
        return decode(in.readAllBytes(), "standard input");
    }

    /** A text as the command line gives it: the file's content ({@code -} is standard input), exactly as it is. */
    String text(Path file) throws IOException {
        if (file.toString().equals("-")) return input();
        if (!Files.isRegularFile(file)) {
            throw new Exit.UsageException(
                    file + (Files.exists(file) ? " is not a file" : " does not exist (from " + Path.of("").toAbsolutePath() + ")"));
        }
        return decode(Files.readAllBytes(file), file.toString());
    }

    private static String decode(byte[] bytes, String what) {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException e) {
            throw new Exit.UsageException(what + " is not UTF-8 text");
        }
    }
}
