package dev.lacuna.server;

import com.fasterxml.jackson.annotation.JsonInclude;
import org.jspecify.annotations.Nullable;

/** An error as OpenAI's clients read it. */
record ErrorReply(Detail error) {
    @JsonInclude(JsonInclude.Include.ALWAYS)
    record Detail(@Nullable String message, String type, @Nullable String param, @Nullable String code) {}
}
