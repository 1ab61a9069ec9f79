package dev.lacuna.files;

import dev.lacuna.tensor.Format;
import java.util.List;
import java.util.Optional;

/** The numbers by which GGUF names a tensor's packing (the enum {@code ggml_type}). */
final class GgmlType {
    /** By number; numbers of packings that were taken back are empty. */
    private static final List<String> NAMES = List.of("F32", "F16", "Q4_0", "Q4_1", "", "", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "Q2_K", "Q3_K",
            "Q4_K",
            "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8", "I16", "I32",
            "I64", "F64",
            "IQ1_M", "BF16", "", "", "", "TQ1_0", "TQ2_0", "", "", "", "MXFP4", "NVFP4", "Q1_0");

    private GgmlType() {}

    static String name(long number) {
        String name = number < NAMES.size() ? NAMES.get((int) number) : "";
        return name.isEmpty() ? "ggml type " + number : name;
    }

    static Optional<Format> format(long number) {
        return Format.named(name(number));
    }

    static int number(Format format) {
        return NAMES.indexOf(format.name());
    }
}
