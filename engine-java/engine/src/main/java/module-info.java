/** Runs compressed transformers on the JVM: formats, files, models, sessions, sampling, and the interface that kernels implement. */
@org.jspecify.annotations.NullMarked module dev.lacuna.engine {
    requires static transitive org.jspecify;
    requires transitive tools.jackson.databind;
    requires java.net.http;

    exports dev.lacuna;
    exports dev.lacuna.files;
    exports dev.lacuna.generate;
    exports dev.lacuna.hub;
    exports dev.lacuna.model;
    exports dev.lacuna.ops;
    exports dev.lacuna.tensor;
    exports dev.lacuna.text;

    // the catalogue and the receipts of the store are records that Jackson fills
    opens dev.lacuna.hub to tools.jackson.databind;

    uses dev.lacuna.ops.OpsProvider;
}
