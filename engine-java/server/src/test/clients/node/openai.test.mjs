// OpenAI's client for Node, as it is, against a server: LACUNA_URL (without /v1), LACUNA_KEY, LACUNA_MODEL.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const { LACUNA_URL: url, LACUNA_KEY: key, LACUNA_MODEL: model } = process.env;
const client = (apiKey = key) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, timeout: 60_000 });
const messages = [{ role: "user", content: "Tell me a story." }];
const chat = (more = {}) => client().chat.completions.create({ model, messages, temperature: 0, max_completion_tokens: 48, ...more });

async function metric(name) {
  const text = await (await fetch(`${url}/metrics`, { headers: { Authorization: `Bearer ${key}` } })).text();
  return text.split("\n").filter((line) => line.startsWith(name)).reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

test("answer and stream agree, usage comes last", async () => {
  const whole = await chat();
  assert.equal(whole.choices[0].finish_reason, "length");
  assert.equal(whole.usage.completion_tokens, 48);
  let text = "";
  let last;
  for await (const chunk of await chat({ stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta.content ?? "";
    last = chunk;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.completion_tokens, 48);
});

test("the stream helper puts the answer together", async () => {
  const final = await client().chat.completions.stream({ model, messages, temperature: 0, max_completion_tokens: 48 }).finalChatCompletion();
  assert.equal(final.choices[0].message.content, (await chat()).choices[0].message.content);
});

test("stop", async () => {
  const text = (await chat()).choices[0].message.content;
  const stop = text.slice(text.length / 2, text.length / 2 + 6);
  const stopped = (await chat({ stop })).choices[0];
  assert.equal(stopped.message.content, text.slice(0, text.indexOf(stop)));
  assert.equal(stopped.finish_reason, "stop");
});

test("n and logprobs", async () => {
  const { choices } = await chat({ n: 2, logprobs: true, top_logprobs: 2, temperature: 1.5, seed: 3 });
  assert.deepEqual(choices.map((c) => c.index), [0, 1]);
  for (const { logprobs } of choices) {
    assert.equal(logprobs.content.length, 48);
    assert.ok(logprobs.content.every((t) => t.logprob <= 0 && t.top_logprobs.length === 2));
  }
});

test("abort ends the work", async () => {
  const cancelled = `lacuna_requests_total{model_name="${model}",outcome="cancelled"}`;
  const before = await metric(cancelled);
  const stream = await chat({ stream: true, n: 8, max_completion_tokens: 400 });
  for await (const _ of stream) {
    stream.controller.abort();
    break;
  }
  for (let i = 0; i < 500 && (await metric(cancelled)) === before; i++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(await metric(cancelled), before + 1);
});

test("refusals are the client's own errors", async () => {
  await assert.rejects(client("not the key").models.list(), (e) => e instanceof OpenAI.AuthenticationError && e.code === "invalid_api_key");
  await assert.rejects(client().chat.completions.create({ model: "no-such-model", messages }), (e) => e instanceof OpenAI.NotFoundError && e.code === "model_not_found");
  await assert.rejects(chat({ messages: [{ role: "user", content: "word ".repeat(2000) }] }), (e) => e instanceof OpenAI.BadRequestError && e.code === "context_length_exceeded");
  await assert.rejects(chat({ response_format: { type: "json_object" } }), (e) => e instanceof OpenAI.BadRequestError && e.param === "response_format");
});

test("models and completions", async () => {
  const ids = [];
  for await (const m of await client().models.list()) ids.push(m.id);
  assert.ok(ids.includes(model));
  const answer = await client().completions.create({ model, prompt: "Once upon a time", max_tokens: 8, temperature: 0 });
  assert.ok(answer.choices[0].text.length > 0);
});
