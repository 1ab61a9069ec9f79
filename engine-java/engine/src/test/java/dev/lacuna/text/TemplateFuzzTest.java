package dev.lacuna.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;

import com.code_intelligence.jazzer.junit.FuzzTest;
import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;

/** Whatever a template says, it renders or is stopped with the line at fault, within the budgets of output and memory. */
class TemplateFuzzTest {
    private static final long MOST_BYTES = 2L << 30;
    private static final List<Message> MESSAGES = List.of(Message.system("s"), Message.user("caf\u00e9 \uD83D\uDE42"),
            new Message(Message.ASSISTANT, "<think>t</think>a",
                    Map.of("tool_calls", List.of(Map.of("id", "1", "function", Map.of("name", "f", "arguments", Map.of("x", 1)))))));
    private static final Map<String, Object> VARIABLES = Map.of("bos_token", "<s>", "eos_token", "</s>", "tools",
            List.of(Map.of("type", "function", "function", Map.of("name", "f"))), "enable_thinking", true);
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private static final Map<String, String> SEEDS = Map.of("chat",
            "{{ bos_token }}{%- for m in messages %}{% if m.role == 'user' and loop.first %}{{ m['content'] | trim }}{% elif m.tool_calls is defined %}"
                    + "{{ m.tool_calls | tojson(indent=2) }}{% else %}{% continue %}{% endif %}{% endfor %}{{ 'x' if add_generation_prompt else '' }}",
            "macro", "{% macro m(a, b=1) %}{{ a ~ b }}{{ caller() if caller }}{% endmacro %}{{ m('x') }}{% call m(2) %}body{% endcall %}"
                    + "{% filter upper | replace('A', 'b') %}a{% endfilter %}",
            "set",
            "{% set ns = namespace(n=0, l=[1, 2.5, none]) %}{% for k, v in {'a': 1}.items() %}{% set ns.n = ns.n + v ** 2 // 3 %}{% endfor %}{{ ns.l[::-1] | join('-') }}"
                    + "{% set x %}block{% endset %}{{ x[1:3] | upper }}{{ range(3) | select('odd') | list }}{% raw %}{{ }}{% endraw %}{# c #}",
            "strings",
            "{{ 'a,b'.split(',') }}{{ '{} {x}'.format(1, x=2) }}{{ messages[-1].content.split('</think>')[-1].strip() }}{{ strftime_now('%Y') }}"
                    + "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | length > 0 and not false }}");

    @FuzzTest(maxDuration = "20s")
    void renders(byte[] data) {
        long before = THREADS.getCurrentThreadAllocatedBytes();
        try {
            String out = ChatTemplate.of(new String(data, StandardCharsets.UTF_8)).render(MESSAGES, true, VARIABLES);
            if (out.length() > Budget.TEXT) {
                throw new AssertionError(out.length() + " characters of output");
            }
        } catch (TemplateException stopped) {
            if (stopped.line() < 1) {
                throw new AssertionError("no line", stopped);
            }
        }
        long allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
        if (allocated > MOST_BYTES) {
            throw new AssertionError(allocated + " bytes allocated for a template of " + data.length);
        }
    }

    /** Writes the seeds anew: {@code main(src/test/resources/dev/lacuna/text/TemplateFuzzTestInputs/renders)}. */
    public static void main(String[] args) throws IOException {
        for (var seed : SEEDS.entrySet()) {
            Files.writeString(Path.of(args[0], seed.getKey()), seed.getValue());
        }
    }

    @Test
    void theSeedsRender() throws IOException {
        for (var seed : SEEDS.entrySet()) {
            try (InputStream stored = TemplateFuzzTest.class.getResourceAsStream("TemplateFuzzTestInputs/renders/" + seed.getKey())) {
                assertArrayEquals(seed.getValue().getBytes(StandardCharsets.UTF_8),
                        Objects.requireNonNull(stored, seed.getKey()).readAllBytes(), seed.getKey());
            }
            assertDoesNotThrow(() -> ChatTemplate.of(seed.getValue()).render(MESSAGES, true, VARIABLES));
        }
    }
}
