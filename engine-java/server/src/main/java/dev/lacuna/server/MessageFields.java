package dev.lacuna.server;

import dev.lacuna.text.Message;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/** Reads conversations. */
final class MessageFields {
    private static final Set<String> ROLES = Set.of(Message.SYSTEM, "developer", Message.USER, Message.ASSISTANT);
    private static final int MOST_PARTS = 1024;

    private MessageFields() {}

    /**
     * The messages of a request.
     *
     * @param unknown names of fields that mean nothing here are added
     */
    static List<Message> read(Fields request, int most, Set<String> unknown) {
        List<Message> messages = new ArrayList<>();
        for (Fields m : request.objects("messages", most)) {
            messages.add(message(m, unknown));
            unknown.addAll(m.unknown());
        }
        return messages;
    }

    private static Message message(Fields m, Set<String> unknown) {
        String role = m.required("role");
        if (role.equals("tool") || role.equals("function"))
            throw ApiException.unsupported("messages", "messages of tools are not supported yet");
        if (!ROLES.contains(role)) throw m.wrong("role", "must be system, developer, user or assistant");
        m.unsupported("tool_calls", v -> v.isArray() && v.isEmpty());
        m.unsupported("function_call", _ -> false);
        m.unsupported("audio", _ -> false);
        m.accept("refusal", "annotations"); // clients send back what they were sent
        Map<String, Object> extra = new LinkedHashMap<>();
        String name = m.string("name");
        if (name != null) extra.put("name", name);
        String thinking = m.string("reasoning_content");
        if (thinking != null) extra.put("reasoning_content", thinking);
        // the newer name of the same: templates know the older one
        return new Message(role.equals("developer") ? Message.SYSTEM : role, content(m, role, unknown), extra);
    }

    private static String content(Fields m, String role, Set<String> unknown) {
        JsonNode content = m.any("content");
        if (content == null) {
            if (role.equals(Message.ASSISTANT)) return "";
            throw m.wrong("content", "is missing");
        }
        if (content.isString()) return content.asString();
        if (!content.isArray()) throw m.wrong("content", "must be a string or a list of parts");
        StringBuilder text = new StringBuilder();
        for (Fields part : m.objects("content", MOST_PARTS)) {
            String type = part.required("type");
            if (!type.equals("text"))
                throw ApiException.unsupported("messages", "parts of a message other than text are not supported yet");
            text.append(part.required("text"));
            unknown.addAll(part.unknown());
        }
        return text.toString();
    }
}
