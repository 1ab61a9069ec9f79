package dev.lacuna.text;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lacuna.text.ThinkingSplitter.Kind;
import dev.lacuna.text.ThinkingSplitter.Part;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ThinkingSplitterTest {
    /** The text of each stretch, {@code T:} or {@code A:} before it; neighbours of one kind joined. */
    private static String split(String template, String prompt, String text, int size) {
        ThinkingSplitter splitter = ThinkingSplitter.of(template, prompt);
        List<Part> parts = new ArrayList<>();
        for (int at = 0; at < text.length(); at += size) {
            parts.addAll(splitter.add(text.substring(at, Math.min(text.length(), at + size))));
        }
        parts.addAll(splitter.finish());
        StringBuilder out = new StringBuilder();
        Kind last = null;
        for (Part part : parts) {
            if (part.kind() != last) {
                out.append(part.kind() == Kind.THINKING ? "|T:" : "|A:");
                last = part.kind();
            }
            out.append(part.text());
        }
        return out.toString();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 5, 7, 100})
    void whateverThePiecesAre(int size) {
        assertEquals("|T:hm, 1 < 2\n|A:answer <b>\n", split("", "", "<think>\nhm, 1 < 2\n</think>\n\nanswer <b>\n", size));
        assertEquals("|T:hm|A:answer", split("<think>", "<|im_start|>assistant\n<think>\n", "\nhm</think>answer", size));
        assertEquals("|A:no thinking at all", split("", "user <think> no", "no thinking at all", size));
        assertEquals("|A:", split("", "", "", size) + "|A:");
        assertEquals("|A:a <thin", split("", "", "a <thin", size));
        assertEquals("|A:a |T:b|A:c |T:d", split("", "", "a <think>b</think> c <think>d", size));
        assertEquals("|T:x|A:<think>y</think>", split("[THINK]x[/THINK]", "", "[THINK]x[/THINK]<think>y</think>", size));
        assertEquals("|T:plan|A:done", split("<|channel|>", "<|start|>assistant",
                "<|channel|>analysis<|message|>plan<|end|><|start|>assistant<|channel|>final<|message|>done", size));
    }

    @Test
    void whatCanBeToldIsToldAtOnce() {
        ThinkingSplitter splitter = ThinkingSplitter.of("", "");
        assertEquals(List.of(new Part(Kind.ANSWER, "Hello ")), splitter.add("Hello <"));
        assertEquals(List.of(), splitter.add("thi"));
        assertEquals(List.of(new Part(Kind.ANSWER, "<this")), splitter.add("s"));
        assertEquals(List.of(), splitter.finish());
    }
}
