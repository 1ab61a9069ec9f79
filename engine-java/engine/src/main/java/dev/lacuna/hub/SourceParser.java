package dev.lacuna.hub;

import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The grammar of sources, without any look at the outside. */
final class SourceParser {
    // a + divides only where another source begins, because paths, addresses and versions may contain one
    private static final Pattern JOINT = Pattern.compile("(?<!\\+)\\+(?=(?:hf|pypi|maven|https?):|/|\\./|\\.\\./)");
    private static final Pattern ARCHIVE = Pattern.compile("(?i).*\\.(?:zip|whl|jar)");
    private static final Pattern SCHEME = Pattern.compile("([A-Za-z][A-Za-z0-9.-]+):(?!\\\\).*", Pattern.DOTALL);
    private static final String WORD = "[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?";
    private static final Pattern HUB = Pattern.compile("(" + WORD + ")/(" + WORD + ")(?:@(" + WORD + "))?(?::([A-Za-z0-9][A-Za-z0-9._-]*)|/(.*))?",
            Pattern.DOTALL);
    private static final Pattern PYPI = Pattern.compile("([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==([A-Za-z0-9][A-Za-z0-9.!+_-]*)/(.*)", Pattern.DOTALL);
    private static final Pattern MAVEN = Pattern.compile("(" + WORD + "):(" + WORD + "):(" + WORD + ")/(.*)", Pattern.DOTALL);

    private final String text;

    SourceParser(String text) {
        this.text = text;
    }

    Source parse() {
        if (text.isBlank()) throw bad("it is empty");
        if (text.length() > 20_000) throw bad("it is longer than 20000 characters");
        if (text.chars().anyMatch(c -> c < ' ' || c == 127)) throw bad("it contains a control character");
        String[] pieces = JOINT.split(text, -1);
        if (pieces.length == 1) return one(text);
        List<Source> parts = new ArrayList<>(pieces.length);
        for (String piece : pieces) {
            Source part = one(piece);
            if (part instanceof Source.Member member && member.folder()) throw bad("+ joins files, and \"" + piece + "\" is a folder");
            if (part instanceof Source.Hub hub && hub.file() == null) throw bad("+ joins files, and \"" + piece + "\" names none");
            parts.add(part);
        }
        return new Source.Parts(parts);
    }

    private Source one(String piece) {
        int mark = archiveEnd(piece);
        if (mark < 0) return plain(piece);
        String member = piece.substring(mark + 1);
        if (archiveEnd(member) >= 0) throw bad("an archive inside an archive is one level too deep");
        if (member.equals("/")) member = "";
        String path = member.endsWith("/") ? member.substring(0, member.length() - 1) : member;
        if (!path.isEmpty() && !Names.plainPath(path)) throw bad("the member \"" + member + "\" is no plain relative path");
        if (piece.length() == mark + 1) throw bad("no member follows the !");
        return new Source.Member(plain(piece.substring(0, mark)), member);
    }

    /** The place of the ! that ends an archive's name, -1 if there is none: other names may hold a ! of their own. */
    private static int archiveEnd(String piece) {
        for (int at = piece.indexOf('!'); at >= 0; at = piece.indexOf('!', at + 1)) {
            if (ARCHIVE.matcher(piece.substring(0, at)).matches()) return at;
        }
        return -1;
    }

    private Source plain(String piece) {
        Matcher scheme = SCHEME.matcher(piece);
        if (!scheme.matches()) return local(piece);
        String rest = piece.substring(scheme.end(1) + 1);
        return switch (scheme.group(1).toLowerCase(Locale.ROOT)) {
            case "hf" -> hub(rest);
            case "pypi" -> pypi(rest);
            case "maven" -> maven(rest);
            case "https", "http" -> web(piece);
            default -> throw bad("\"" + scheme.group(1) + ":\" is not known (put ./ before a path with a colon)");
        };
    }

    private Source local(String piece) {
        try {
            return new Source.Local(Path.of(piece));
        } catch (InvalidPathException invalid) {
            throw bad("no path: " + invalid.getReason());
        }
    }

    private Source hub(String rest) {
        Matcher matcher = HUB.matcher(rest);
        if (!matcher.matches()) throw bad("hf: wants owner/repo[@revision][:QUANT|/file]");
        return new Source.Hub(matcher.group(1), matcher.group(2), matcher.group(3), matcher.group(4),
                matcher.group(5) == null ? null : inside(matcher.group(5)));
    }

    private Source pypi(String rest) {
        Matcher matcher = PYPI.matcher(rest);
        if (!matcher.matches()) throw bad("pypi: wants package==version/path/in/wheel");
        return new Source.PyPi(matcher.group(1), matcher.group(2), inside(matcher.group(3)));
    }

    private Source maven(String rest) {
        Matcher matcher = MAVEN.matcher(rest);
        if (!matcher.matches()) throw bad("maven: wants group:artifact:version/path/in/jar");
        return new Source.Maven(matcher.group(1), matcher.group(2), matcher.group(3), inside(matcher.group(4)));
    }

    private String inside(String path) {
        if (!Names.plainPath(path)) throw bad("\"" + path + "\" is no plain relative path");
        if (!Names.safe(Names.last(path))) throw bad("the file name \"" + Names.last(path) + "\" may hold only letters, digits, '.', '_' and '-'");
        return path;
    }

    private Source web(String piece) {
        URI uri;
        try {
            uri = new URI(piece);
        } catch (URISyntaxException syntax) {
            throw bad("no web address: " + syntax.getReason());
        }
        String host = uri.getHost();
        if (host == null || uri.getPath() == null) throw bad("the address has no host");
        if (uri.getRawUserInfo() != null) throw bad("a password has no place in an address");
        if (uri.getRawFragment() != null) throw bad("an address with #fragment names no file");
        if ("http".equalsIgnoreCase(uri.getScheme()) && !Web.loopback(host)) throw bad("http: is taken from this machine only; use https:");
        if (!Names.safe(Names.last(uri.getPath()))) {
            throw bad("the address must end in a file name of letters, digits, '.', '_' and '-'");
        }
        return new Source.Web(uri);
    }

    private SourceException bad(String why) {
        return SourceException.bad(Names.printable(text), Names.printable(why));
    }
}
