package dev.lacuna.text;

import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** Templates by name, for models whose file brings none. */
final class NamedTemplates {
    private static final TreeMap<String, String> SOURCES = new TreeMap<>(Map.of("chatml", """
            {%- for message in messages -%}
            {{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
            {{ '<|im_start|>assistant\\n' }}
            {%- endif -%}
            """, "alpaca", """
            {%- set ns = namespace(system='') -%}
            {%- for message in messages -%}
            {%- if message.role == 'system' -%}
            {%- set ns.system = message.content -%}
            {%- endif -%}
            {%- endfor -%}
            {{ ns.system or 'Below is an instruction that describes a task. Write a response that appropriately completes the request.' }}
            {%- for message in messages -%}
            {%- if message.role == 'user' -%}
            {{ '\\n\\n### Instruction:\\n' + message.content }}
            {%- elif message.role == 'input' -%}
            {{ '\\n\\n### Input:\\n' + message.content }}
            {%- elif message.role == 'assistant' -%}
            {{ '\\n\\n### Response:\\n' + message.content + (eos_token or '') }}
            {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
            {{ '\\n\\n### Response:' }}
            {%- endif -%}
            """, "vicuna", """
            {%- if messages and messages[0].role == 'system' -%}
            {{ messages[0].content }}
            {%- else -%}
            {{ "A chat between a curious user and an artificial intelligence assistant. " }}
            {{- "The assistant gives helpful, detailed, and polite answers to the user's questions." }}
            {%- endif -%}
            {%- set ns = namespace(separator=' ') -%}
            {%- for message in messages -%}
            {%- if message.role == 'user' -%}
            {{ ns.separator + 'USER: ' + message.content }}
            {%- set ns.separator = ' ' -%}
            {%- elif message.role == 'assistant' -%}
            {{ ns.separator + 'ASSISTANT: ' + message.content + (eos_token or '</s>') }}
            {%- set ns.separator = '' -%}
            {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
            {{ ns.separator + 'ASSISTANT:' }}
            {%- endif -%}
            """, "wizardlm", """
            {%- for message in messages -%}
            {%- if message.role == 'assistant' -%}
            {{ '\\n\\n### Response:' + message.content + (eos_token or '</s>') }}
            {%- else -%}
            {{ ('' if loop.first else '\\n\\n') + message.content }}
            {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
            {{ '\\n\\n### Response:' }}
            {%- endif -%}
            """, "llama2", """
            {%- set ns = namespace(system='') -%}
            {%- for message in messages -%}
            {%- if message.role == 'system' -%}
            {%- set ns.system = '<<SYS>>\\n' + message.content + '\\n<</SYS>>\\n\\n' -%}
            {%- elif message.role == 'user' -%}
            {{ (bos_token or '') + '[INST] ' + ns.system + message.content.strip() + ' [/INST]' }}
            {%- set ns.system = '' -%}
            {%- elif message.role == 'assistant' -%}
            {{ ' ' + message.content.strip() + ' ' + (eos_token or '') }}
            {%- else -%}
            {{ raise_exception('Llama 2 knows the roles system, user and assistant, not ' + message.role) }}
            {%- endif -%}
            {%- endfor -%}
            """, "llama3", """
            {{- bos_token or '' -}}
            {%- for message in messages -%}
            {{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content.strip() + '<|eot_id|>' }}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
            {{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
            {%- endif -%}
            """, "gemma", """
            {{- bos_token or '' -}}
            {%- set ns = namespace(system='') -%}
            {%- for message in messages -%}
            {%- if message.role == 'system' -%}
            {%- set ns.system = message.content.strip() + '\\n\\n' -%}
            {%- else -%}
            {{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' }}
            {{- ns.system + message.content.strip() + '<end_of_turn>\\n' }}
            {%- set ns.system = '' -%}
            {%- endif -%}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
            {{ '<start_of_turn>model\\n' }}
            {%- endif -%}
            """, "zephyr", """
            {%- for message in messages -%}
            {{ '<|' + message.role + '|>\\n' + message.content + (eos_token or '</s>') + '\\n' }}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
            {{ '<|assistant|>\\n' }}
            {%- endif -%}
            """, "phi3", """
            {%- for message in messages -%}
            {{ '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' }}
            {%- endfor -%}
            {%- if add_generation_prompt -%}
            {{ '<|assistant|>\\n' }}
            {%- endif -%}
            """));

    private NamedTemplates() {}

    static Set<String> names() {
        return java.util.Collections.unmodifiableSet(SOURCES.keySet());
    }

    static String source(String name) {
        String source = SOURCES.get(name);
        if (source == null) {
            throw new IllegalArgumentException(
                    "there is no chat template named '" + name + "'; there are " + String.join(", ", SOURCES.keySet()));
        }
        return source;
    }
}
