// Renders every template here for every conversation with @huggingface/jinja 0.5.11 (MIT), at a fixed time, and writes expected-templates.json.
// Where it throws, the entry is its message.
//   npm install @huggingface/jinja@0.5.11 && TZ=UTC node expected-templates.mjs
import { Template } from "@huggingface/jinja";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const Clock = Date;
globalThis.Date = class extends Clock {
  constructor(...given) {
    super(...(given.length ? given : ["2026-03-07T09:05:00Z"]));
  }
};

const conversations = JSON.parse(readFileSync("conversations.json", "utf8"));
const expected = {};
for (const file of readdirSync("templates").filter((name) => name.endsWith(".jinja")).sort()) {
  let template;
  try {
    template = new Template(readFileSync(`templates/${file}`, "utf8"));
  } catch (error) {
    template = { render: () => { throw error; } };
  }
  expected[file] = conversations.map(({ messages, add_generation_prompt, variables }) => {
    try {
      return template.render({ ...variables, messages, add_generation_prompt });
    } catch (error) {
      return { error: error.message };
    }
  });
}
writeFileSync("expected-templates.json", JSON.stringify(expected).replaceAll("],\"", "],\n\"") + "\n");
