package dev.lacuna.text;

import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A chat template in a closed subset of Jinja: for, if, set, macro, call, filter, generation, raw, break and continue; the expressions, filters, tests and methods that
 * models' templates use. Values are plain data, so a template from an untrusted file can reach nothing; steps, depth, work and output are bounded.
 * Rendering follows Python's Jinja as Hugging Face configures it (trim_blocks, lstrip_blocks). Immutable and safe for any number of threads.
 */
public final class ChatTemplate {
    private static final int LONGEST_SOURCE = 256 << 10;
    private final String source;
    private final List<Node> nodes;

    private ChatTemplate(String source) {
        this.source = source;
        nodes = TemplateParser.parse(source);
    }

    /**
     * Reads a template.
     *
     * @throws TemplateException when it is malformed, nested too deeply, longer than 256 Ki characters, or uses tags that are not supported
     */
    public static ChatTemplate of(String source) {
        if (source.length() > LONGEST_SOURCE) {
            throw new TemplateException("has " + source.length() + " characters; at most " + LONGEST_SOURCE + " are possible", 1);
        }
        return new ChatTemplate(source);
    }

    /**
     * One of the templates for models whose file has none.
     *
     * @throws IllegalArgumentException for a name that is not in {@link #names}
     */
    public static ChatTemplate named(String name) {
        return of(NamedTemplates.source(name));
    }

    /** The names that {@link #named} knows, in alphabetical order. */
    public static Set<String> names() {
        return NamedTemplates.names();
    }

    /** The template's text. */
    public String source() {
        return source;
    }

    /**
     * The prompt for a conversation.
     *
     * @param addGenerationPrompt whether the prompt ends where the assistant begins to speak
     * @param variables what else the template may ask for: {@code bos_token}, {@code eos_token}, {@code tools}, {@code enable_thinking}, ...; values are null,
     *     booleans, numbers, strings, lists, and mappings with string keys
     * @throws TemplateException when the template raises an exception of its own, fails, or exceeds a budget
     */
    public String render(List<Message> messages, boolean addGenerationPrompt, Map<String, Object> variables) {
        List<Map<String, Object>> turns = new ArrayList<>(messages.size());
        for (Message message : messages) {
            Map<String, Object> turn = new LinkedHashMap<>();
            turn.put("role", message.role());
            turn.put("content", message.content());
            turn.putAll(message.extra());
            turns.add(turn);
        }
        return render(turns, addGenerationPrompt, variables, null);
    }

    String render(List<? extends Map<String, ?>> messages, boolean addGenerationPrompt, Map<String, ?> variables,
            @Nullable LocalDateTime now) {
        Map<String, Object> all = new LinkedHashMap<>(variables);
        all.put("messages", messages);
        all.put("add_generation_prompt", addGenerationPrompt);
        return new Renderer(now).render(nodes, all);
    }
}
