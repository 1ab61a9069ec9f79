// A server that answers as the page's tests need it: what the last message says decides. `node stub.mjs [PORT] [KEY]` serves it to a person.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const PAGE = process.env.LACUNA_PAGE ?? fileURLToPath(new URL("../../main/resources/dev/lacuna/server/page/", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export const MARKDOWN = `## Fibonacci, three ways

A recurrence such as *F(n) = F(n-1) + F(n-2)* can be **memoized**, which makes it linear. In Java:

\`\`\`java
long fibonacci(int n) {
    long a = 0, b = 1;
    for (int i = 0; i < n; i++) {
        long next = a + b;
        a = b;
        b = next;
    }
    return a;
}
\`\`\`

| method | time | memory |
| --- | ---: | :---: |
| recursive | O(1.6ⁿ) | O(n) |
| \`loop\` | O(n) | O(1) |

1. Start with 0 and 1
2. Add the last two
   - keep only those
   - [x] no list is needed
3. See [the article](https://en.wikipedia.org/wiki/Fibonacci_number)

> Beyond n = 92 a \`long\` overflows.
`;

export const HOSTILE = `<img src=x onerror="document.title='owned'"> <script>document.title='owned'</script>
[a](javascript:alert(1)) [b](data:text/html,x) ![pixel](https://example.com/pixel.png) [c](https://example.com/?q=1)

\`\`\`<b>
</code></pre><img src=x onerror="document.title='owned'">
\`\`\`
`;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function start({ port = 0, key = null, busyFor = 1 } = {}) {
  const seen = { requests: [], left: 0, busy: 0 };
  const server = createServer(async (request, response) => {
    const json = (status, value, headers = {}) => {
      response.writeHead(status, { "Content-Type": "application/json", ...headers });
      response.end(JSON.stringify(value));
    };
    const refuse = (status, message, code = null, headers = {}) => json(status, { error: { message, type: "invalid_request_error", param: null, code } }, headers);
    const path = new URL(request.url, "http://host").pathname;
    if (request.method === "GET" && !path.startsWith("/v1/")) {
      const name = normalize(path === "/" ? "/index.html" : path).replace(/^\/+/, "");
      try {
        const bytes = await readFile(join(PAGE, name));
        response.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "application/octet-stream", "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff" });
        response.end(bytes);
      } catch {
        refuse(404, "no such file");
      }
      return;
    }
    if (key && request.headers.authorization !== `Bearer ${key}`) return refuse(401, "A key is needed.", "invalid_api_key");
    if (path === "/v1/models") return json(200, { object: "list", data: [{ id: "stub-model", object: "model" }, { id: "other-model", object: "model" }] });
    if (path !== "/v1/chat/completions") return refuse(404, "no such route");
    let text = "";
    for await (const part of request) text += part;
    const body = JSON.parse(text);
    seen.requests.push(body);
    const said = body.messages.at(-1).content;
    if (said.startsWith("busy") && seen.busy++ < busyFor) return refuse(429, "32 requests wait already.", "queue_full", { "Retry-After": "1" });
    if (said.startsWith("full")) return refuse(400, "This prompt has 9000 tokens; the model takes 8192.", "context_length_exceeded");
    let stopped = false;
    response.on("close", () => {
      if (!response.writableFinished) seen.left++;
      stopped = true;
    });
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    const chunk = (delta, more = {}) =>
      response.write(`data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", model: body.model, choices: [{ index: 0, delta, finish_reason: null, ...more }] })}\n\n`);
    response.write(": waiting\n\n");
    chunk({ role: "assistant", content: "" });
    let answer = `You said: ${said}`;
    let delay = 2;
    if (said.startsWith("markdown")) answer = MARKDOWN;
    if (said.startsWith("hostile")) answer = HOSTILE;
    if (said.startsWith("slow")) {
      answer = Array.from({ length: 400 }, (_, i) => `word${i}`).join(" ");
      delay = 20;
    }
    let count = 0;
    if (said.startsWith("think")) {
      for (const piece of "First I look at what is asked. Then I answer.".match(/\S+\s*/g)) {
        chunk({ reasoning_content: piece });
        count++;
        await pause(10);
      }
    }
    for (const piece of answer.match(/\s*\S+\s*/g)) {
      if (stopped) return;
      if (said.startsWith("cut") && count === 2) {
        await pause(200); // a reset loses what has not been read yet
        return response.destroy();
      }
      if (said.startsWith("fail") && count === 2) {
        response.write(`data: ${JSON.stringify({ error: { message: "The engine failed.", type: "server_error", code: null } })}\n\n`);
        return response.end("data: [DONE]\n\n");
      }
      chunk({ content: piece });
      count++;
      await pause(delay);
    }
    chunk({}, { finish_reason: "stop" });
    response.write(`data: ${JSON.stringify({ object: "chat.completion.chunk", choices: [], usage: { prompt_tokens: 20, completion_tokens: count, total_tokens: 20 + count, prompt_tokens_details: { cached_tokens: 12 } } })}\n\n`);
    response.end("data: [DONE]\n\n");
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, seen, stop: () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections())) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log((await start({ port: Number(process.argv[2] ?? 8099), key: process.argv[3] ?? null })).url);
}
