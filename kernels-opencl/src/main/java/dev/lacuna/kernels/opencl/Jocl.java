package dev.lacuna.kernels.opencl;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jocl.CL;
import org.jocl.CLException;
import org.jspecify.annotations.Nullable;

/**
 * Loads JOCL's library. JOCL unpacks it to a fixed name in the folder for temporary files and takes whatever lies there already, which on a shared
 * machine may be anybody's: so it gets a private folder for that moment.
 */
final class Jocl {
    private static final String FOLDER = "java.io.tmpdir";
    private static @Nullable String missing;
    private static boolean tried;

    private Jocl() {}

    /** Why OpenCL cannot be called, or null. */
    static synchronized @Nullable String missing() {
        if (!tried) {
            tried = true;
            missing = load();
        }
        return missing;
    }

    private static @Nullable String load() {
        String before = System.getProperty(FOLDER);
        Path folder;
        try {
            folder = Files.createTempDirectory("lacuna-jocl"); // for this user alone
        } catch (IOException e) {
            return "no folder for JOCL's library: " + e.getMessage();
        }
        System.setProperty(FOLDER, folder.toString());
        try {
            CL.setExceptionsEnabled(false);
            return null;
        } catch (LinkageError | CLException e) {
            String text = String.valueOf(e.getMessage());
            return "no OpenCL library (" + text.lines().findFirst().orElse("")
                    + "): install ocl-icd-libopencl1 and the driver of your device";
        } finally {
            System.setProperty(FOLDER, before);
            remove(folder);
        }
    }

    /** A loaded library needs its file no longer; where the system keeps it, it goes at the end. */
    private static void remove(Path folder) {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
            for (Path file : files) Files.delete(file);
            Files.delete(folder);
        } catch (IOException e) {
            folder.toFile().deleteOnExit();
        }
    }
}
