package dev.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lacuna.text.ThinkingSplitter.Kind;
import dev.lacuna.text.ThinkingSplitter.Part;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class AnswerTest {
    @Test
    void thinkingIsDimmedAndTheAnswerIsNot() {
        List<Part> parts = List.of(new Part(Kind.THINKING, "hm"), new Part(Kind.ANSWER, "yes"));
        assertEquals("\u001b[2mhm\u001b[22myes", Answer.dimmed(parts));
    }

    @Test
    void templateValuesAreJsonOrText() {
        assertEquals(false, Json.value("false"));
        assertEquals(List.of(Map.of("name", "clock")), Json.value("[{\"name\": \"clock\"}]"));
        assertEquals("a b", Json.value("a b"));
    }
}
