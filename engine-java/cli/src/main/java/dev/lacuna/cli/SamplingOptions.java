package dev.lacuna.cli;

import dev.lacuna.generate.Sampling;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** How tokens are chosen; what is not given stays as the command has it. */
final class SamplingOptions {
    @Option(names = "--max-tokens", paramLabel = "N", description = "Most tokens of an answer (0: until the context is full).")
    @Nullable
    Integer maxTokens;

    @Option(names = "--temperature", paramLabel = "T", description = "Divides the logits; 0 always takes the best token.")
    @Nullable
    Double temperature;

    @Option(names = "--top-k", paramLabel = "K", description = "Keep the K best tokens (0: all).")
    @Nullable
    Integer topK;

    @Option(names = "--top-p", paramLabel = "P", description = "Keep the fewest best tokens whose probabilities reach P.")
    @Nullable
    Double topP;

    @Option(names = "--min-p", paramLabel = "P", description = "Drop what is less likely than this share of the best.")
    @Nullable
    Double minP;

    @Option(names = "--repetition-penalty", paramLabel = "R", description = "Divides the logits of recent tokens (1: none).")
    @Nullable
    Double repetition;

    @Option(names = "--frequency-penalty", paramLabel = "F", description = "Subtracted for each time that a token was generated.")
    @Nullable
    Double frequency;

    @Option(names = "--presence-penalty", paramLabel = "F", description = "Subtracted once from tokens that were generated.")
    @Nullable
    Double presence;

    @Option(names = "--seed", paramLabel = "N", description = "Equal seeds give equal texts.")
    @Nullable
    Long seed;

    @Option(names = "--stop", paramLabel = "TEXT", description = "Ends the answer and is no part of it; may be given several times.")
    List<String> stop = new ArrayList<>();

    Sampling over(Sampling s) {
        return new Sampling(or(maxTokens, s.maxTokens()), or(temperature, s.temperature()), or(topK, s.topK()), or(topP, s.topP()),
                or(minP, s.minP()),
                or(repetition, s.repetitionPenalty()), or(frequency, s.frequencyPenalty()), or(presence, s.presencePenalty()),
                or(seed, s.seed()),
                stop.isEmpty() ? s.stop() : stop);
    }

    private static <T> T or(@Nullable T given, T otherwise) {
        return given == null ? otherwise : given;
    }
}
