package dev.lacuna.hub;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The one gate between names that others chose and files of ours. */
final class Names {
    private static final Pattern SAFE = Pattern.compile("[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}");
    private static final Pattern SPLIT = Pattern.compile("(.*)-(\\d{5})-of-(\\d{5})\\.gguf");
    private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");
    private static final int MOST_PARTS = 1000;
    /** Names that Windows keeps for devices, whatever their extension. */
    private static final Pattern DEVICE = Pattern.compile("(?i)(?:con|prn|aux|nul|com\\d|lpt\\d)(?:\\..*)?");

    private Names() {
    }

    /** Whether a name may become the name of a file: letters, digits, dot, underscore, hyphen; not hidden, no {@code ..}. */
    static boolean safe(String name) {
        return SAFE.matcher(name).matches() && !name.contains("..") && !name.endsWith(".") && !DEVICE.matcher(name).matches();
    }

    /**
     * The name itself.
     *
     * @throws FetchException if it is not {@link #safe}
     */
    static String checked(String name) throws FetchException {
        if (!safe(name)) {
            throw new FetchException("\"" + printable(name) + "\" cannot be a file name here: only letters, digits, '.', '_' and '-' are taken, and no '..'");
        }
        return name;
    }

    /** Whether a path inside a repository or archive is relative and plain: no empty, {@code .} or {@code ..} step, no backslash, no control character. */
    static boolean plainPath(String path) {
        if (path.isEmpty() || path.length() > 1000 || path.chars().anyMatch(c -> c < ' ' || c == 127 || c == '\\')) return false;
        for (String step : path.split("/", -1)) {
            if (step.isEmpty() || step.equals(".") || step.equals("..")) return false;
        }
        return true;
    }

    static String last(String path) {
        return path.substring(path.lastIndexOf('/') + 1);
    }

    static boolean isSha256(String text) {
        return SHA256.matcher(text).matches();
    }

    /** The names of all parts if the name is a part of a split GGUF of at most 1000 parts. */
    static Optional<List<String>> splitParts(String name) {
        Matcher matcher = SPLIT.matcher(name);
        if (!matcher.matches()) return Optional.empty();
        int parts = Integer.parseInt(matcher.group(3));
        if (parts < 1 || parts > MOST_PARTS) return Optional.empty();
        List<String> names = new ArrayList<>(parts);
        for (int part = 1; part <= parts; part++) {
            names.add(String.format(Locale.ROOT, "%s-%05d-of-%05d.gguf", matcher.group(1), part, parts));
        }
        return Optional.of(names);
    }

    /** A folder name for a source: readable, and different for different sources. */
    static String slug(Source source) {
        String readable = source.toString().replaceAll("[^A-Za-z0-9._]+", "-").replaceAll("\\.{2,}", ".").replaceAll("^[.-]+", "");
        if (readable.length() > 80) readable = readable.substring(0, 80);
        return readable + "--" + HexFormat.of().formatHex(sha256().digest(source.toString().getBytes(StandardCharsets.UTF_8)), 0, 6);
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException("every JDK has SHA-256", impossible);
        }
    }

    /** Text from outside, fit for one line of a message. */
    static String printable(String text) {
        String line = text.replaceAll("\\p{Cntrl}+", " ").strip();
        return line.length() > 300 ? line.substring(0, 300) + "..." : line;
    }
}
