package dev.lacuna.text;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One turn of a conversation.
 *
 * @param extra what else the model's template may read of it: {@code tool_calls}, {@code tool_call_id}, {@code name}, {@code reasoning_content}; values are
 *     plain data as {@link ChatTemplate#render} takes them. A {@code content} here, which may be null or a list of parts, is what the template sees instead
 *     of the text.
 */
public record Message(String role, String content, Map<String, Object> extra) {
    public static final String SYSTEM = "system";
    public static final String USER = "user";
    public static final String ASSISTANT = "assistant";
    public static final String TOOL = "tool";

    /**
     * A turn with its extra values, which are copied.
     *
     * @throws IllegalArgumentException when {@code extra} names a role
     */
    public Message {
        if (extra.containsKey("role")) {
            throw new IllegalArgumentException("the role of a message is not among its extra values");
        }
        extra = Collections.unmodifiableMap(new LinkedHashMap<>(extra));
    }

    /** A turn that is only text. */
    public Message(String role, String content) {
        this(role, content, Map.of());
    }

    public static Message system(String content) {
        return new Message(SYSTEM, content);
    }

    public static Message user(String content) {
        return new Message(USER, content);
    }

    public static Message assistant(String content) {
        return new Message(ASSISTANT, content);
    }
}
