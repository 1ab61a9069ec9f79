package dev.lacuna.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** Against the output of @huggingface/jinja, written by the script beside it, and against budgets. */
class ChatTemplateTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final LocalDateTime NOW = LocalDateTime.of(2026, 3, 7, 9, 5);

    private static String resource(String name) {
        try (InputStream in = Objects.requireNonNull(ChatTemplateTest.class.getResourceAsStream(name), name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException unreadable) {
            throw new IllegalStateException(name, unreadable);
        }
    }

    /** What the reference gives, or Python's Jinja where that differs from it. */
    static Stream<Arguments> conversations() {
        JsonNode conversations = JSON.readTree(resource("conversations.json"));
        JsonNode python = JSON.readTree(resource("expected-templates-python.json"));
        return JSON.readTree(resource("expected-templates.json")).properties().stream()
                .flatMap(template -> IntStream.range(0, conversations.size()).mapToObj(i -> {
                    JsonNode own = python.path(template.getKey()).path(String.valueOf(i));
                    return Arguments.of(template.getKey(), conversations.get(i).get("name").asString(), conversations.get(i),
                            own.isMissingNode() ? template.getValue().get(i) : own);
                }));
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("conversations")
    void rendersAsTheReference(String file, String name, JsonNode conversation, JsonNode expected) {
        ChatTemplate template = ChatTemplate.of(resource("templates/" + file));
        List<Map<String, Object>> messages = JSON.convertValue(conversation.get("messages"), new TypeReference<>() {
        });
        Map<String, Object> variables = JSON.convertValue(conversation.get("variables"), new TypeReference<>() {
        });
        boolean generate = conversation.get("add_generation_prompt").asBoolean();
        if (expected.isObject()) {
            String message = assertThrows(TemplateException.class, () -> template.render(messages, generate, variables, NOW)).getMessage();
            assertTrue(message.contains(expected.get("error").asString()), message);
        } else {
            assertEquals(expected.asString(), template.render(messages, generate, variables, NOW));
        }
    }

    /** Python's word is taken for few conversations, and for few templates at all. */
    @Test
    void theReferenceDecidesForNearlyAll() {
        JsonNode python = JSON.readTree(resource("expected-templates-python.json"));
        JsonNode all = JSON.readTree(resource("expected-templates.json"));
        assertEquals(78, all.size());
        assertEquals(7, python.size());
        assertEquals(69, python.valueStream().mapToInt(JsonNode::size).sum());
    }

    private static String render(String source) {
        return ChatTemplate.of(source).render(List.of(Map.of("role", "user", "content", "hi")), true, Map.of("eos_token", "</s>"), NOW);
    }

    /** Values that Python's Jinja gives, where the JavaScript reference differs or has no such feature. */
    @ParameterizedTest
    @CsvSource(delimiter = '§', quoteCharacter = '¤', ignoreLeadingAndTrailingWhitespace = false, value = {"{{ none }}§None",
            "{{ 1 == true }}§True",
            "{{ [1, 'a', none, 2.5] }}§[1, 'a', None, 2.5]", "{{ {'a': \"it's\"} }}§{'a': \"it's\"}", "{{ -7 // 2 }} {{ -7 % 3 }}§-4 2",
            "{{ 7 / 2 }}§3.5",
            "{{ 1e16 }} {{ 0.1 }} {{ 1e-5 }} {{ 100.0 }}§1e+16 0.1 1e-05 100.0", "{{ 2 ** -1 }}§0.5", "{{ 1 < 2 < 3 }}§True",
            "{{ 1 < 3 < 2 }}§False",
            "{{ -1 | abs }}§1", "{{ not true or true }}§True", "{{ 'a' ~ 1 + 2 if false else 'b' ~ 'c' }}§bc", "{{ 'x' if false }}§",
            "{% raw %}{{ x }}{% endraw %}§{{ x }}", "a {%- if true -%} b {%- endif %} c§ab c", "{{ '🙂é' | length }}§2",
            "{{ '🙂é'[0] }}§🙂",
            "{{ 'abcdef'[1:5:2] }} {{ 'abc'[::-1] }} {{ 'abc'[-2:] }} {{ 'abc'[:99] }}§bd cba bc abc",
            "{{ 'a,b,,c'.split(',', 1) }}§['a', 'b,,c']",
            "{{ ' a  b '.split() }}§['a', 'b']", "{{ 'a.b.c'.rsplit('.', 1) }}§['a.b', 'c']", "{{ 'xxayy'.strip('xy') }}§a",
            "{% for a, b in {'k': 1}.items() %}{{ a }}{{ b }}{% endfor %}§k1", "{% set a, b = 1, 2 %}{{ b }}{{ a }}§21",
            "{% for i in range(3) %}{% set x = i %}{% endfor %}{{ x is defined }}§False",
            "{% for i in [1, 2] %}{% if seen is defined %}!{% endif %}{% set seen = 1 %}{% endfor %}§",
            "{% macro m(a, b='d') %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}{{ m(a=3) }}§1d123d",
            "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}§013",
            "{% generation %}g{% endgeneration %}§g",
            "{% macro m(a) %}[{{ a }}{{ caller() }}]{% endmacro %}{% call m(1) %}b{% endcall %}§[1b]",
            "{% macro m() %}{{ caller(2) }}{% endmacro %}{% call(x, y=3) m() %}{{ x }}{{ y }}{% endcall %}§23",
            "{% filter upper | replace('A', 'x') %}ab{{ 'a' }}{% endfilter %}§xBx", "{{ '{}-{0}-{k}{{}}'.format(1, k='v') }}§1-1-v{}",
            "{{ none | selectattr('x') | list | length }}{{ none | map('upper') | list }}§0[]",
            "{{ strftime_now('%d %B %Y %-d %H:%M %%') }}§07 March 2026 7 09:05 %",
            "{{ [3, 1, 2] | max }}{{ [3, 1, 2] | min }}{{ [1, 2] | sum }}§313",
            "{{ {'b': 2, 'a': 1} | tojson(sort_keys=true) }}§{\"a\": 1, \"b\": 2}",
            "{{ 'é\u0001' | tojson }} {{ 'é' | tojson(ensure_ascii=true) }}§\"é\\u0001\" \"\\u00e9\"",
            "{{ ['a', 'b'] | map('upper') | join }}§AB",
            "{{ [1, 2, 3, 4] | select('even') | list }}§[2, 4]", "{{ 6 is divisibleby 3 }} {{ 'a' is in ['a'] }}§True True",
            "{{ {'items': 1}['items'] }} {{ {'items': 1}.items }} {{ {'items': 1}.items() | list }}§1 1 [('items', 1)]", "{{ 'a' 'b' }}§ab",
            "{{ missing }}{{ missing or 'm' }}§m", "{{ 'A' if messages[0].content == 'hi' else 'B' }}{{ add_generation_prompt }}§ATrue",
            "{% for m in messages %}{{ m['role'] }}{{ loop.first }}{{ loop.cycle('x', 'y') }}{% endfor %}§userTruex"})
    void valuesAreAsInPython(String source, String expected) {
        String wanted = expected == null ? "" : expected.replace("('items', 1)", "['items', 1]"); // tuples are lists here
        assertEquals(wanted, render(source));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{% for i in range(9223372036854775807) %}x{% endfor %}", "{{ range(0, -9223372036854775807, -1) }}",
            "{{ 9223372036854775807 + 1 }}",
            "{{ 9223372036854775808 }}", "{{ 2 ** 9223372036854775807 }}", "{{ -(-9223372036854775807 - 1) }}",
            "{{ 'x' * 9223372036854775807 }}",
            "{{ 'x' * 4000000 ~ 'x' * 4000000 }}", "{% for i in range(99) %}{{ 'x' * 1000000 }}{% endfor %}",
            "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
            "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
            "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
            "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l | tojson }}",
            "{% set a = namespace(l=[]) %}{% set b = namespace(l=[]) %}{% for i in range(999) %}{% set a.l = [a.l] %}{% set b.l = [b.l] %}{% endfor %}{{ a.l == b.l }}",
            "{% set ns = namespace(l=[1]) %}{% for i in range(50) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}",
            "{{ 'a'.replace('', 'x' * 3000000) }}", "{{ ('a' * 3000000).replace('a', 'bbbb') }}",
            "{{ 'a' | indent(9223372036854775807, true) }}",
            "{{ ('a' * 2000000 ~ 'b') in ('a' * 4000000) }}", "{{ [1] | tojson(indent=9223372036854775807) }}",
            "{{ messages.__class__.__mro__() }}",
            "{{ ''.getClass().forName('java.lang.Runtime') }}", "{{ messages[0].getClass() }}", "{{ namespace().x.y }}",
            "{{ cycler.__init__ }}",
            "{{ (1).x() }}", "{{ undefined_function() }}", "{{ none.x() }}", "{{ 1 + 'a' }}", "{{ 'a' + 1 }}", "{{ 1 // 0 }}",
            "{{ 1 / 0 }}", "{{ 1 % 0 }}",
            "{{ messages | nofilter }}", "{{ 1 is nonsense }}", "{% include 'x' %}", "{% import 'x' as y %}", "{% if %}", "{% if true %}",
            "{% endif %}",
            "{% for x in %}{% endfor %}", "{{", "{{ 1", "{{ 'a }}", "{# open", "{% raw %}x", "{{ 1 + }}", "{{ [1, 2 }}", "{{ {1: } }}",
            "{% break %}",
            "{% set messages.x = 1 %}", "{% set a, b = [1] %}", "{% for a, b in [[1, 2, 3]] %}{% endfor %}", "{{ ! }}", "{{ 'a' < 1 }}",
            "{{ 5[0]() }}",
            "{% for i in 5 %}{% endfor %}", "{{ raise_exception('no') }}", "{{ '%' | replace('a') }}", "{{ 'x' | trim(1) }}",
            "{{ range(1, 2, 0) }}", "{{ 'abc'[::0] }}",
            "{{ 'abc' | map('map', 'map', 'upper', 'x', 'y') | list }}", "{{ {[1]: 2} }}", "{{ [1e400 - 1e400, 1] | tojson() ~ none.a.b }}",
            "{{ strftime_now('%Q') }}", "{% call 1 %}{% endcall %}", "{% call range(1) %}{% endcall %}", "{{ '{0.__class__}'.format(1) }}",
            "{{ '{'.format(1) }}", "{{ '{} {}'.format(1) }}", "{% for i in [1] %}{% filter upper %}{% break %}{% endfilter %}{% endfor %}",
            "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}", "{% filter nofilter %}x{% endfilter %}",
            "{% set ns = namespace(s='{0}{0}') %}{% for i in range(99) %}{% set ns.s = ns.s.format(ns.s) %}{% endfor %}"})
    void hostileAndWrongTemplatesAreStopped(String source) {
        TemplateException thrown = assertThrows(TemplateException.class, () -> render(source));
        assertEquals(1, thrown.line());
    }

    static Stream<String> deep() {
        int n = 20_000;
        return Stream.of("{{ " + "(".repeat(n) + "1" + ")".repeat(n) + " }}", "{{ " + "[".repeat(n) + "]".repeat(n) + " }}",
                "{{ " + "{1:".repeat(n) + "1 }}",
                "{{ " + "not ".repeat(n) + "1 }}", "{{ " + "- ".repeat(n) + "1 }}", "{% if 1 %}".repeat(n) + "{% endif %}".repeat(n),
                "{{ " + "1 if 1 else ".repeat(n) + "1 }}", "{{ " + "x[".repeat(n) + "1 }}", "{{ " + "f(".repeat(n) + "1 }}",
                "{{ 'a' | map(" + "'map',".repeat(n) + "'upper') }}", "{{ " + "1 is in ".repeat(2) + "[".repeat(n) + " }}",
                "{% macro a() %}".repeat(n), "{% for i in [1] %}".repeat(n), "{{ 1 " + "if 1 else (1 ".repeat(n) + " }}");
    }

    @ParameterizedTest
    @MethodSource("deep")
    void deepNestingIsRefused(String source) {
        assertThrows(TemplateException.class, () -> render(source.length() > 256 << 10 ? source.substring(0, 256 << 10) : source));
    }

    @Test
    void longChainsAreNotDeep() {
        int n = 10_000;
        assertEquals(String.valueOf(n + 1), render("{{ 1" + " + 1".repeat(n) + " }}"));
        assertEquals("x", render("{{ 'x'" + " | trim".repeat(2_000) + " }}"));
        assertEquals("x" + "y".repeat(300), render("{{ 'x'" + " ~ 'y'".repeat(300) + " }}"));
        assertEquals("True", render("{{ true" + " and true".repeat(n) + " }}"));
        assertEquals("last", render("{% if false %}" + "{% elif false %}".repeat(n) + "{% else %}last{% endif %}"));
    }

    @Test
    void sortingWhatHasNoOrderEndsInAnOrderOrAnError() {
        List<Object> mixed = new ArrayList<>();
        for (int i = 0; i < 500; i++) {
            mixed.add(i % 3 == 0 ? Double.NaN : (double) (i * 7919 % 1000));
        }
        ChatTemplate template = ChatTemplate.of("{{ values | sort | length }}");
        try {
            assertEquals("500", template.render(List.of(), false, Map.of("values", mixed)));
        } catch (TemplateException expected) {
            assertTrue(expected.getMessage().contains("no order"), expected.getMessage());
        }
    }

    @Test
    void errorsNameTheLineAndTheTemplatesOwnMessage() {
        TemplateException thrown = assertThrows(TemplateException.class,
                () -> render("a\nb\n{% if true %}\n{{ raise_exception('roles must alternate') }}\n{% endif %}"));
        assertEquals(4, thrown.line());
        assertEquals("chat template, line 4: roles must alternate", thrown.getMessage());
        assertEquals(3, assertThrows(TemplateException.class, () -> ChatTemplate.of("\n\n{{ ) }}")).line());
    }

    @Test
    void onlyPlainDataIsTaken() {
        ChatTemplate template = ChatTemplate.of("{{ v }}");
        assertEquals("[1, 2.5]", template.render(List.of(), false, Map.of("v", List.of(1, 2.5f))));
        for (Object bad : List.of(new Object(), Map.of(1, 2), new int[1], Thread.currentThread())) {
            assertThrows(TemplateException.class, () -> template.render(List.of(), false, Map.of("v", bad)));
        }
        Map<String, Object> cyclic = new HashMap<>();
        cyclic.put("self", cyclic);
        assertThrows(TemplateException.class, () -> template.render(List.of(), false, cyclic));
        assertThrows(TemplateException.class, () -> ChatTemplate.of("x".repeat((256 << 10) + 1)));
        assertEquals("x".repeat(256 << 10), ChatTemplate.of("x".repeat(256 << 10)).render(List.of(), false, Map.of()));
    }

    @Test
    void messagesCarryMoreThanText() {
        ChatTemplate template = ChatTemplate.of("{% for m in messages %}{{ m.role }}:{{ m.content is none or m.content }}"
                + "{{ m.reasoning_content or '' }}{{ m.tool_calls[0].name if m.tool_calls }};{% endfor %}");
        Map<String, Object> nothing = new HashMap<>();
        nothing.put("content", null);
        List<Message> messages = List.of(Message.user("q"), new Message(Message.ASSISTANT, "a", Map.of("reasoning_content", "r")),
                new Message(Message.ASSISTANT, "", Map.of("tool_calls", List.of(Map.of("name", "f")))),
                new Message(Message.TOOL, "", nothing));
        assertEquals("user:q;assistant:ar;assistant:f;tool:True;", template.render(messages, false, Map.of()));
        assertEquals(new Message("user", "q"), Message.user("q"));
        assertThrows(IllegalArgumentException.class, () -> new Message("user", "q", Map.of("role", "system")));
    }

    static Stream<String> templates() {
        return JSON.readTree(resource("expected-templates.json")).propertyNames().stream().filter(name -> !name.equals("features.jinja"));
    }

    /** Budgets leave room for long conversations, of few characters too, in every template. */
    @ParameterizedTest
    @MethodSource("templates")
    void aLongConversationFitsTheBudget(String file) {
        ChatTemplate template = ChatTemplate.of(resource("templates/" + file));
        for (String filling : List.of("", "many words ".repeat(50))) {
            List<Message> messages = new ArrayList<>();
            for (int i = 0; i < 1000; i++) {
                messages.add(i % 2 == 0 ? Message.user(filling + i) : Message.assistant(filling + i));
            }
            String prompt = template.render(messages, true, Map.of("bos_token", "<s>", "eos_token", "</s>", "tools", List.of()));
            assertTrue(prompt.contains("999"), prompt);
        }
    }

    /** What a short conversation allows is far from what the templates of models take, and ends soon. */
    @ParameterizedTest
    @CsvSource(delimiter = '§', value = {"{% for i in range(2000) %}{% for j in range(2000) %}{% endfor %}{% endfor %}§steps",
            "{% for i in range(2000) %}{{ messages | map('upper') | list }}{% endfor %}§steps",
            "{% for i in range(2000) %}{{ range(2000) | sum }}{% endfor %}§too much work",
            "{% for i in range(99999) %}{% endfor %}§a range of more than",
            "{% for i in range(2000) %}{{ 'x' * 9999 }}{% endfor %}§too much work"})
    void aShortConversationIsStoppedSoon(String source, String why) {
        String message = assertThrows(TemplateException.class, () -> render(source)).getMessage();
        assertTrue(message.contains(why), message);
    }

    @Test
    void namedTemplates() {
        List<Message> chat = List.of(Message.user("m1"), Message.assistant("a1"), Message.user("m2"));
        Map<String, Object> tokens = Map.of("bos_token", "<s>", "eos_token", "</s>");
        assertEquals(
                "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's"
                        + " questions. USER: m1 ASSISTANT: a1</s>USER: m2 ASSISTANT:",
                ChatTemplate.named("vicuna").render(chat, true, tokens));
        assertEquals(
                "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nm1\n\n### Response:",
                ChatTemplate.named("alpaca").render(List.of(Message.user("m1")), true, tokens));
        assertEquals("m1\n\n### Response:", ChatTemplate.named("wizardlm").render(List.of(Message.user("m1")), true, tokens));
        assertEquals(
                "<|im_start|>user\nm1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n<|im_start|>user\nm2<|im_end|>\n<|im_start|>assistant\n",
                ChatTemplate.named("chatml").render(chat, true, Map.of()));
        assertEquals("<s>[INST] <<SYS>>\ns\n<</SYS>>\n\nm1 [/INST]",
                ChatTemplate.named("llama2").render(List.of(Message.system("s"), Message.user("m1")), true, tokens));
        assertEquals("<b><|start_header_id|>user<|end_header_id|>\n\nm1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
                ChatTemplate.named("llama3").render(List.of(Message.user("m1")), true, Map.of("bos_token", "<b>")));
        assertEquals("<start_of_turn>user\ns\n\nm1<end_of_turn>\n<start_of_turn>model\n",
                ChatTemplate.named("gemma").render(List.of(Message.system("s"), Message.user("m1")), true, Map.of()));
        assertEquals("<|user|>\nm1</s>\n<|assistant|>\n", ChatTemplate.named("zephyr").render(List.of(Message.user("m1")), true, tokens));
        assertEquals("<|user|>\nm1<|end|>\n<|assistant|>\n", ChatTemplate.named("phi3").render(List.of(Message.user("m1")), true, tokens));
        assertEquals(9, ChatTemplate.names().size());
        assertTrue(assertThrows(IllegalArgumentException.class, () -> ChatTemplate.named("none such")).getMessage()
                .contains("alpaca, chatml"));
    }
}
