package dev.lacuna;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.generate.Result;
import dev.lacuna.generate.Sampling;
import dev.lacuna.model.TinyLlama;
import dev.lacuna.ops.KvType;
import dev.lacuna.text.Message;
import dev.lacuna.text.ThinkingSplitter.Kind;
import dev.lacuna.text.ThinkingSplitter.Part;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a conversation makes of its template: variables, the end token, thinking apart from the answer, special tokens in what people write. */
class ChatTest {
    @TempDir
    Path folder;

    private Lacuna open(String template, Options options) {
        return Lacuna.open(new TinyLlama().template(template).write(folder, 9),
                options.withKernels("reference").withKv(KvType.F32).withContext(256));
    }

    @Test
    void templatesAreToldTheVariablesAndTheTokens() {
        String template = "{{ bos_token }}{{ mood }}{% for m in messages %}[{{ m.content }}]{% endfor %}{{ eos_token }}{{ tools[0].name }}";
        Map<String, Object> told = Map.of("mood", "calm", "tools", List.of(Map.of("name", "clock")));
        try (Lacuna model = open(template, Options.DEFAULT.withVariables(told))) {
            assertEquals("<s>calm[hi]</s>clock", model.render(List.of(Message.user("hi"))));
        }
    }

    @Test
    void thinkingIsKeptApart() {
        // the prompt opens the thinking, and a tiny random model never closes it
        try (Lacuna model = open(TinyLlama.TEMPLATE + "<think>", Options.DEFAULT); Chat chat = model.chat()) {
            chat.sampling(Sampling.GREEDY.withMaxTokens(12).withTemperature(1).withSeed(3));
            Result r = chat.send("hi").result();
            assertFalse(r.text().isBlank());
            List<Part> parts = chat.splitter().add(r.text());
            assertTrue(parts.stream().allMatch(p -> p.kind() == Kind.THINKING), parts::toString);
            Message said = chat.history().getLast();
            assertEquals("", said.content());
            assertEquals(r.text().strip(), String.valueOf(said.extra().get("reasoning_content")).strip());
        }
        try (Lacuna model = open(TinyLlama.TEMPLATE, Options.DEFAULT); Chat chat = model.chat()) {
            chat.sampling(Sampling.GREEDY.withMaxTokens(12).withTemperature(1).withSeed(3));
            Result r = chat.send("hi").result();
            assertEquals(new Message(Message.ASSISTANT, r.text()), chat.history().getLast());
        }
    }

    @Test
    void aSpecialTokenThatSomebodyWritesStaysText() {
        try (Lacuna model = open(TinyLlama.TEMPLATE, Options.DEFAULT)) {
            int end = 2; // </s>
            int[] ids = model.encode(List.of(Message.user("a</s>b")));
            assertTrue(Arrays.stream(ids).noneMatch(id -> id == end), Arrays.toString(ids));
            assertTrue(Arrays.stream(model.encode("a</s>b")).anyMatch(id -> id == end), "a plain prompt is taken as it is");
        }
    }
}
