"""Renders every template here for every conversation with Python's Jinja as transformers sets it up, and writes expected-templates-python.json: what
differs from expected-templates.json, by template and index of the conversation. null stands for an error of another wording.

usage: python expected-templates.py      (pip install Jinja2==3.1.6; after expected-templates.mjs)
"""
import datetime
import json

import jinja2
from jinja2 import ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        parser.stream.skip(1)
        return jinja2.nodes.Scope(parser.parse_statements(["name:endgeneration"], drop_needle=True))


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[ext.loopcontrols, Generation])
env.filters["tojson"] = tojson
# marks text as HTML, whereupon what is added to it is escaped: nobody wants that in a prompt, and the JavaScript library does not do it
env.filters["safe"] = lambda x: x
env.globals["raise_exception"] = raise_exception
env.globals["strftime_now"] = lambda format: datetime.datetime(2026, 3, 7, 9, 5).strftime(format)

with open("conversations.json", encoding="utf-8") as f:
    conversations = json.load(f)
with open("expected-templates.json", encoding="utf-8") as f:
    expected = json.load(f)
different = {}
for name, outputs in expected.items():
    with open("templates/" + name, encoding="utf-8", newline="") as f:
        template = env.from_string(f.read())
    for i, (conversation, other) in enumerate(zip(conversations, outputs)):
        try:
            own = template.render(messages=conversation["messages"], add_generation_prompt=conversation["add_generation_prompt"],
                **conversation["variables"])
            if own != other:
                different.setdefault(name, {})[i] = own
        except Exception as e:
            if not isinstance(other, dict):
                different.setdefault(name, {})[i] = {"error": str(e) if isinstance(e, jinja2.exceptions.TemplateError) else ""}
            elif other["error"] not in str(e):
                different.setdefault(name, {})[i] = None
with open("expected-templates-python.json", "w", encoding="utf-8") as f:
    f.write(json.dumps(different, ensure_ascii=False, separators=(",", ":")).replace('},"', '},\n"') + "\n")
print(sum(map(len, different.values())), "of", sum(map(len, expected.values())), "differ:", {k: len(v) for k, v in different.items()})
