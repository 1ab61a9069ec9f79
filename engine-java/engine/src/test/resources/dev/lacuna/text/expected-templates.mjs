// Renders every template here for every conversation with @huggingface/jinja 0.5.11 (MIT) and writes expected-templates.json.
// Where it throws, the template must throw in Java as well.
//   npm install @huggingface/jinja@0.5.11 && node expected-templates.mjs
import { Template } from "@huggingface/jinja";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const conversations = JSON.parse(readFileSync("conversations.json", "utf8"));
const expected = {};
for (const file of readdirSync("templates").filter((name) => name.endsWith(".jinja")).sort()) {
  const template = new Template(readFileSync(`templates/${file}`, "utf8"));
  expected[file] = conversations.map(({ messages, add_generation_prompt, variables }) => {
    try {
      return template.render({ ...variables, messages, add_generation_prompt });
    } catch (error) {
      return { error: error.message };
    }
  });
}
writeFileSync("expected-templates.json", JSON.stringify(expected).replaceAll("],\"", "],\n\"") + "\n");
