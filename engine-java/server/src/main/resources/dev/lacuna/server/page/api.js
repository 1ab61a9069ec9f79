// The server's OpenAI-compatible routes, as far as this page needs them.

/** An answer that was no answer: the status, OpenAI's error fields, and how long to wait. */
export class ApiError extends Error {
  constructor(status, error, retryAfter = null) {
    super(error?.message || (status ? `The server answered ${status}.` : "The server cannot be reached."));
    this.status = status;
    this.code = error?.code ?? null;
    this.type = error?.type ?? null;
    this.param = error?.param ?? null;
    this.retryAfter = retryAfter;
  }
}

async function call(path, key, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "same-origin", redirect: "error" });
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    throw new ApiError(0, null);
  }
  if (response.ok) return response;
  let error = null;
  try {
    error = (await response.json()).error;
  } catch {
    error = { message: `The server answered ${response.status} without saying why.` };
  }
  throw new ApiError(response.status, error, seconds(response.headers.get("Retry-After")));
}

function seconds(header) {
  if (!header) return null;
  const number = Number(header);
  const wait = Number.isFinite(number) ? number : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(wait) ? Math.min(600, Math.max(1, Math.ceil(wait))) : null;
}

/** The names of the models, the default one first. */
export async function models(key) {
  const answer = await (await call("v1/models", key)).json();
  return answer.data.map((model) => model.id);
}

/**
 * Streams an answer. Yields {content?, thinking?, finish?, usage?}; ends when the server says that it is done, throws ApiError when it says that
 * it failed or when the connection ends before.
 */
export async function* stream(body, key, signal) {
  const response = await call("v1/chat/completions", key, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ApiError(chunk.error.status ?? 500, chunk.error);
    const choice = chunk.choices?.[0];
    yield {
      content: choice?.delta?.content || "",
      thinking: choice?.delta?.reasoning_content || "",
      finish: choice?.finish_reason ?? null,
      usage: chunk.usage ?? null,
    };
  }
  throw new ApiError(0, { message: "The connection ended before the answer did." });
}

async function* events(bytes) {
  const reader = bytes.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      let part;
      try {
        part = await reader.read();
      } catch (failure) {
        if (failure.name === "AbortError") throw failure;
        throw new ApiError(0, { message: "The connection broke before the answer was complete." });
      }
      if (part.done) return;
      const lines = (rest + part.value).split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield data.join("\n");
          data = [];
        } else if (line.startsWith("data:")) {
          data.push(line.slice(line[5] === " " ? 6 : 5));
        }
      }
    }
  } finally {
    reader.cancel().catch((failure) => console.debug("stream left:", failure.message));
  }
}
