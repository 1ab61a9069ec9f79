import { ApiError, models, stream } from "./api.js";
import { Rendering } from "./markdown.js";
import * as store from "./store.js";

const $ = (id) => document.getElementById(id);
const NUMBERS = ["temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "max_completion_tokens", "seed"];
const STORE_EVERY = 1000; // ms, while an answer grows
const NEAR_END = 80; // px from the end of the conversation: close enough to follow what comes

let all = store.conversations();
let current = null; // the conversation shown; one that has no messages yet is not kept
let known = []; // the server's models
let key = null;
let leaving = false;
let narrated = ""; // of the answer that is read out: what was given to the announcer already
const runs = new Map(); // conversation id -> {controller, message}
const views = new Map(); // message id -> what is shown of it

const run = () => runs.get(current.id);

// ---------------------------------------------------------------- small helpers

function make(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function glyph(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", "#i-" + name);
  svg.append(use);
  return svg;
}

function iconButton(name, label, action) {
  const button = make("button", "icon");
  button.type = "button";
  button.title = label;
  button.setAttribute("aria-label", label);
  button.append(glyph(name));
  button.addEventListener("click", action);
  return button;
}

function textButton(label, action, className) {
  const button = make("button", className, label);
  button.type = "button";
  button.addEventListener("click", action);
  return button;
}

const decimal = (value, digits) => value.toLocaleString(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const duration = (seconds) => decimal(seconds, seconds < 10 ? 2 : 1) + " s";
const plural = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;

let toastTimer = 0;

function toast(text, undo = null) {
  $("toast-text").textContent = text;
  $("toast-undo").hidden = !undo;
  $("toast-undo").onclick = () => {
    $("toast").hidden = true;
    undo();
  };
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($("toast").hidden = true), undo ? 10000 : 4000);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // no clipboard outside a secure context: a selection does
    const field = make("textarea", "visually-hidden");
    field.value = text;
    const back = document.activeElement;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    back?.focus();
  }
}

function announce(text) {
  const plain = text.replace(/[*_`#>|~]+/g, "").trim();
  if (!plain) return;
  $("announcer").append(make("p", "", plain));
  while ($("announcer").childElementCount > 30) $("announcer").firstChild.remove();
}

/** Hands what came to the screen reader by whole sentences: token by token nobody can follow. */
function narrate(text, end) {
  let until = text.length;
  if (!end) {
    const rest = text.slice(narrated.length);
    const match = /^[\s\S]*(?:[.!?:]\s|\n)/.exec(rest);
    if (!match) return;
    until = narrated.length + match[0].length;
  }
  announce(text.slice(narrated.length, until));
  narrated = text.slice(0, until);
}

// ---------------------------------------------------------------- conversations

function fresh() {
  const last = current ?? all[0];
  return { id: store.id(), title: "", named: false, used: Date.now(), model: last?.model ?? null, settings: { ...last?.settings }, messages: [] };
}

let roomTold = false;

function keep(conversation) {
  if (!all.includes(conversation)) all.unshift(conversation);
  if (!store.keep(conversation) && !roomTold) {
    roomTold = true;
    toast("This browser has no room left: new messages last only as long as this page. Deleting old conversations helps.");
  }
}

function touch(conversation) {
  conversation.used = Date.now();
  if (!conversation.named) {
    const first = conversation.messages.find((m) => m.role === "user")?.content.trim().split("\n")[0] ?? "";
    conversation.title = first.length > 60 ? first.slice(0, 59).trimEnd() + "…" : first;
  }
  keep(conversation);
  all.sort((a, b) => b.used - a.used);
  showList();
}

const nameOf = (conversation) => conversation.title || "New conversation";

function show(conversation) {
  current = conversation;
  narrated = "";
  store.keepSetting("open", conversation.id);
  $("announcer").replaceChildren();
  showList();
  showLog();
  showModels();
  $("prompt").value = conversation.draft ?? "";
  resize($("prompt"));
  showState();
  $("scroller").scrollTop = $("scroller").scrollHeight;
}

function begin() {
  show(all.find((c) => c.messages.length === 0) ?? fresh());
  closeSidebar();
  $("prompt").focus();
}

function remove(conversation) {
  runs.get(conversation.id)?.controller.abort();
  const at = all.indexOf(conversation);
  all = all.filter((c) => c !== conversation);
  store.forget(conversation.id);
  if (conversation === current) show(all[Math.min(at, all.length - 1)] ?? fresh());
  else showList();
  (focusable() ?? $("new-chat")).focus();
  toast(`Deleted “${nameOf(conversation)}”.`, () => {
    keep(conversation);
    all.sort((a, b) => b.used - a.used);
    show(conversation);
  });
}

const focusable = () => $("conversations").querySelector(".open[tabindex='0']");

function showList() {
  $("title").textContent = nameOf(current);
  document.title = current.title ? `${current.title} · Lacuna` : "Lacuna";
  const focused = document.activeElement?.closest("#conversations li")?.dataset.id;
  $("conversations").replaceChildren(
    ...all.filter((c) => c.messages.length > 0).map((conversation) => {
      const item = make("li", conversation === current ? "current" : "");
      item.dataset.id = conversation.id;
      const open = make("button", "open", nameOf(conversation));
      open.type = "button";
      if (conversation === current) open.setAttribute("aria-current", "true");
      open.addEventListener("click", () => {
        show(conversation);
        closeSidebar();
      });
      const name = nameOf(conversation);
      item.append(
        open,
        iconButton("edit", `Rename ${name}`, () => rename(conversation)),
        iconButton("bin", `Delete ${name}`, () => remove(conversation)),
      );
      return item;
    }),
  );
  // one stop of the tab key for the whole list; the arrow keys move within
  const items = [...$("conversations").children];
  const stop = items.find((i) => i.dataset.id === focused) ?? items.find((i) => i.className === "current") ?? items[0];
  for (const item of items) for (const button of item.children) button.tabIndex = item === stop ? 0 : -1;
  if (focused && stop?.dataset.id === focused) stop.firstChild.focus();
}

function rename(conversation) {
  const item = $("conversations").querySelector(`[data-id="${conversation.id}"]`);
  const field = make("input");
  field.value = conversation.title;
  field.maxLength = 120;
  field.setAttribute("aria-label", "Name of the conversation");
  let done = false;
  const finish = (take) => {
    if (done) return;
    done = true;
    if (take && field.value.trim()) {
      conversation.title = field.value.trim();
      conversation.named = true;
      keep(conversation);
    }
    showList();
    $("conversations").querySelector(`[data-id="${conversation.id}"] .open`)?.focus();
  };
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && !event.isComposing) finish(true);
    else if (event.key === "Escape") finish(false);
  });
  field.addEventListener("blur", () => finish(true));
  item.replaceChildren(field);
  field.focus();
  field.select();
}

$("conversations").addEventListener("keydown", (event) => {
  const item = event.target.closest("li");
  const conversation = all.find((c) => c.id === item?.dataset.id);
  if (!conversation) return;
  const to = { ArrowDown: item.nextElementSibling, ArrowUp: item.previousElementSibling, Home: item.parentNode.firstElementChild, End: item.parentNode.lastElementChild };
  if (event.key in to) {
    if (to[event.key]) {
      for (const button of item.children) button.tabIndex = -1;
      for (const button of to[event.key].children) button.tabIndex = 0;
      to[event.key].firstChild.focus();
    }
  } else if (event.key === "F2") rename(conversation);
  else if (event.key === "Delete") remove(conversation);
  else return;
  event.preventDefault();
});

// ---------------------------------------------------------------- messages

function showLog() {
  views.clear();
  $("log").replaceChildren(...current.messages.map((message) => view(message).node));
  $("empty").hidden = current.messages.length > 0;
  marks();
}

function view(message) {
  const node = make("article", `message ${message.role}`);
  node.dataset.id = message.id;
  node.setAttribute("aria-label", message.role === "user" ? "You" : "Answer");
  const shown = { node, message };
  views.set(message.id, shown);
  const actions = make("div", "message-actions");
  if (message.role === "user") {
    node.append(make("div", "text", message.content), actions);
    actions.append(
      iconButton("edit", "Edit and ask again", () => edit(message)),
      iconButton("copy", "Copy message", (event) => copied(event, message.content)),
    );
    return shown;
  }
  shown.thinking = make("details", "thinking");
  shown.summary = make("summary", "", "Thinking");
  const thoughts = make("div", "markdown");
  shown.thinking.append(shown.summary, thoughts);
  shown.thoughts = new Rendering(thoughts);
  // what happens next is the reader's choice as soon as there was one
  shown.summary.addEventListener("click", () => (shown.chosen = true));
  const body = make("div", "markdown");
  shown.body = new Rendering(body);
  shown.waiting = make("div", "waiting");
  shown.waiting.setAttribute("aria-label", "Waiting for the first token");
  shown.waiting.setAttribute("role", "img");
  shown.waiting.append(make("i"), make("i"), make("i"));
  shown.notice = make("div");
  shown.again = iconButton("again", "Regenerate", () => regenerate());
  actions.append(iconButton("copy", "Copy answer", (event) => copied(event, message.content)), shown.again);
  shown.foot = make("div", "message-foot");
  shown.stats = make("span", "stats");
  shown.cut = make("span", "cut");
  shown.actions = actions;
  shown.foot.append(actions, shown.cut, shown.stats);
  node.append(shown.thinking, body, shown.waiting, shown.notice, shown.foot);
  update(shown);
  return shown;
}

async function copied(event, text) {
  const button = event.currentTarget;
  await copy(text);
  const use = button.querySelector("use");
  if (use) {
    use.setAttribute("href", "#i-check");
    setTimeout(() => use.setAttribute("href", "#i-copy"), 1500);
  } else {
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }
  announce("Copied.");
}

$("log").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) copied({ currentTarget: button }, button.closest("figure").querySelector("code").textContent);
});

/** Shows an answer as it is now. */
function update(shown) {
  const { message } = shown;
  const running = runs.get(current.id)?.message === message;
  shown.node.setAttribute("aria-busy", String(running));
  shown.thinking.hidden = !message.thinking;
  if (message.thinking) {
    shown.thoughts.show(message.thinking);
    const still = running && !message.content;
    shown.summary.textContent = still ? "Thinking…" : message.thoughtFor ? `Thought for ${duration(message.thoughtFor)}` : "Thoughts";
    if (!shown.chosen) shown.thinking.open = still;
  }
  shown.body.show(message.content);
  shown.waiting.hidden = !running || Boolean(message.content || message.thinking);
  shown.actions.hidden = running;
  shown.cut.textContent = cut(message, running);
  shown.stats.textContent = stats(message, running);
  shown.foot.hidden = Boolean(message.error && !message.content);
  if (message.error && !shown.notice.hasChildNodes()) explain(shown);
}

function cut(message, running) {
  if (running || message.error) return "";
  if (message.finish === "length") return "Cut at the limit of tokens.";
  if (message.finish === "cancelled") return "Stopped.";
  return message.finish ? "" : "Interrupted.";
}

function stats(message, running) {
  const s = message.stats;
  if (!s || s.first === undefined) return "";
  const parts = [];
  if (s.tokens >= 5 && s.seconds > 0) parts.push(`${s.exact ? "" : "about "}${decimal((s.tokens - 1) / s.seconds, 1)} tokens/s`);
  parts.push(`first token after ${duration(s.first)}`);
  if (!running) parts.push(`${s.exact ? "" : "about "}${plural(s.tokens, "token")}`);
  if (s.prompt !== undefined) parts.push(`prompt ${s.prompt.toLocaleString()}${s.cached ? ` (${s.cached.toLocaleString()} cached)` : ""}`);
  return parts.join(" · ");
}

/** Only the last answer can be asked for again. */
function marks() {
  for (const { message, again } of views.values()) {
    if (again) again.hidden = message !== current.messages.at(-1);
  }
}

function follow(action) {
  const scroller = $("scroller");
  const near = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END;
  action();
  if (near) scroller.scrollTop = scroller.scrollHeight;
  showEnd();
}

function showEnd() {
  const scroller = $("scroller");
  $("to-end").hidden = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END;
}

$("scroller").addEventListener("scroll", showEnd, { passive: true });
$("to-end").addEventListener("click", () => {
  $("scroller").scrollTop = $("scroller").scrollHeight;
  $("prompt").focus();
});

function edit(message) {
  const shown = views.get(message.id);
  const { node } = shown;
  if (node.classList.contains("editing")) return;
  const before = [...node.childNodes];
  const editor = make("form", "editor");
  const field = make("textarea");
  field.value = message.content;
  field.setAttribute("aria-label", "Edit your message");
  const leave = () => {
    node.classList.remove("editing");
    node.replaceChildren(...before);
    $("prompt").focus();
  };
  const buttons = make("div", "row end");
  const submit = make("button", "primary", "Send");
  submit.type = "submit";
  buttons.append(textButton("Cancel", leave), submit);
  editor.append(field, buttons);
  editor.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    const old = current.messages;
    const conversation = current;
    const at = old.indexOf(message);
    runs.get(current.id)?.controller.abort();
    current.messages = [...old.slice(0, at), { id: store.id(), role: "user", content: text }];
    showLog();
    answer(conversation);
    $("prompt").focus();
    if (old.length - at > 2) offerUndo(conversation, old, "Later messages were replaced.");
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      leave();
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      editor.requestSubmit();
    }
  });
  node.classList.add("editing");
  node.replaceChildren(editor);
  resize(field);
  field.focus();
}

function offerUndo(conversation, messages, text) {
  toast(text, () => {
    runs.get(conversation.id)?.controller.abort();
    conversation.messages = messages;
    touch(conversation);
    show(conversation);
  });
}

function regenerate() {
  const last = current.messages.at(-1);
  if (run() || last?.role !== "assistant") return;
  const old = current.messages;
  const conversation = current;
  current.messages = old.slice(0, -1);
  showLog();
  answer(conversation);
  $("prompt").focus();
  if (last.content) offerUndo(conversation, old, "Asked again.");
}

// ---------------------------------------------------------------- asking

function request(conversation) {
  const { system, stop, ...numbers } = conversation.settings;
  const body = { model: conversation.model ?? known[0], messages: [] };
  if (system) body.messages.push({ role: "system", content: system });
  for (const message of conversation.messages) {
    if (message.role === "user" || message.content) body.messages.push({ role: message.role, content: message.content });
  }
  for (const name of NUMBERS) if (typeof numbers[name] === "number") body[name] = numbers[name];
  if (stop?.length) body.stop = stop;
  return body;
}

async function answer(conversation) {
  const body = request(conversation);
  const message = { id: store.id(), role: "assistant", content: "", thinking: "", finish: null, stats: { tokens: 0 } };
  const controller = new AbortController();
  const mine = { controller, message };
  runs.set(conversation.id, mine);
  conversation.messages.push(message);
  touch(conversation);
  const here = () => conversation === current && views.get(message.id);
  if (conversation === current) {
    $("empty").hidden = true;
    narrated = "";
    $("log").append(view(message).node);
    marks();
    showState();
    $("scroller").scrollTop = $("scroller").scrollHeight;
    announce("Answering.");
  }
  const begun = performance.now();
  let first = 0;
  let last = 0;
  let stored = begun;
  let drawing = false;
  const draw = () => {
    drawing = false;
    if (!here() || runs.get(conversation.id) !== mine) return;
    follow(() => update(views.get(message.id)));
    narrate(message.content, false);
  };
  try {
    if (!body.model) {
      await loadModels();
      body.model = conversation.model ?? known[0];
      if (!body.model) throw new ApiError(0, null);
    }
    for await (const { content, thinking, finish, usage } of stream(body, key, controller.signal)) {
      const now = performance.now();
      if (content || thinking) {
        if (!first) first = now;
        last = now;
        message.stats.tokens++;
        message.stats.first = (first - begun) / 1000;
        message.stats.seconds = (last - first) / 1000;
        if (content && !message.content && message.thinking) message.thoughtFor = (now - first) / 1000;
        message.content += content;
        message.thinking += thinking;
      }
      if (finish) message.finish = finish;
      if (usage) {
        Object.assign(message.stats, { tokens: usage.completion_tokens, prompt: usage.prompt_tokens, cached: usage.prompt_tokens_details?.cached_tokens ?? 0, exact: true });
      }
      if (!drawing) {
        drawing = true;
        if (document.hidden) setTimeout(draw, 250);
        else requestAnimationFrame(draw);
      }
      if (now - stored > STORE_EVERY) {
        stored = now;
        if (all.includes(conversation)) keep(conversation);
      }
    }
  } catch (failure) {
    if (leaving) return; // the browser ends what this page waits for; pagehide has kept what came
    if (controller.signal.aborted) message.finish = "cancelled";
    else if (failure instanceof ApiError) message.error = { status: failure.status, code: failure.code, text: failure.message, until: failure.retryAfter ? Date.now() + failure.retryAfter * 1000 : 0 };
    else {
      console.error(failure);
      message.error = { status: 0, code: null, text: "The server's answer could not be read.", until: 0 };
    }
  }
  if (runs.get(conversation.id) === mine) runs.delete(conversation.id);
  if (!conversation.messages.includes(message) || !all.includes(conversation)) return; // replaced or deleted meanwhile
  touch(conversation);
  if (!here()) return;
  const shown = views.get(message.id);
  follow(() => update(shown));
  narrate(message.content, true);
  if (message.finish === "cancelled") announce("Stopped.");
  showState();
  if (message.error?.status === 401) await askKey(true);
}

/** What went wrong, in words, and what can be done. */
function explain(shown) {
  const { message } = shown;
  const { status, code, text, until } = message.error;
  const buttons = make("div", "row");
  const again = textButton("Try again", () => regenerate());
  let title = "The answer failed";
  if (status === 401) {
    title = "The server asks for a key";
    buttons.append(textButton("Enter the key", () => askKey(true)));
  } else if (code === "context_length_exceeded") {
    title = "This conversation is longer than the model can hold";
    buttons.append(textButton("New conversation", begin), textButton("Edit the last message", () => edit(current.messages.findLast((m) => m.role === "user"))));
  } else if (status === 429 || status === 503) {
    title = status === 429 ? "The server is busy" : "The server is not ready";
    buttons.append(again);
    countDown(again, until);
  } else if (status === 0) {
    title = message.content ? "The answer is incomplete" : "No connection";
    buttons.append(again);
  } else if (status === 404) {
    title = "The server does not have this model";
    buttons.append(again);
    loadModels().catch((failure) => console.info("no models:", failure.message));
  } else buttons.append(again);
  const notice = make("div", "notice");
  notice.setAttribute("role", "alert");
  const line = make("p");
  line.append(make("strong", "", title + ". "), text);
  notice.append(line, buttons);
  shown.notice.replaceChildren(notice);
}

function countDown(button, until) {
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
    if (left > 0) setTimeout(tick, 250);
  };
  tick();
}

function send(text) {
  if (run() || !text.trim()) return;
  const message = { id: store.id(), role: "user", content: text.trim() };
  // an answer that failed without a word has nothing to add to the conversation
  current.messages = current.messages.filter((m) => m.role === "user" || m.content || m.thinking);
  delete current.draft;
  current.messages.push(message);
  showLog();
  answer(current);
}

function halt() {
  const mine = run();
  if (!mine) return;
  mine.controller.abort();
  $("prompt").focus();
}

function showState() {
  const running = Boolean(run());
  $("send").hidden = running;
  $("stop").hidden = !running;
  $("send").disabled = !$("prompt").value.trim();
}

// ---------------------------------------------------------------- the field

function resize(field) {
  if (CSS.supports("field-sizing", "content")) return;
  field.style.height = "auto";
  field.style.height = field.scrollHeight + "px";
}

let draftTimer = 0;

$("prompt").addEventListener("input", () => {
  resize($("prompt"));
  showState();
  const conversation = current;
  conversation.draft = $("prompt").value;
  clearTimeout(draftTimer);
  if (conversation.messages.length) draftTimer = setTimeout(() => keep(conversation), 500);
});

$("prompt").addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    $("composer").requestSubmit();
  } else if (event.key === "ArrowUp" && !$("prompt").value && !run()) {
    const last = current.messages.findLast((m) => m.role === "user");
    if (last) {
      event.preventDefault();
      edit(last);
    }
  }
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (run() || !$("prompt").value.trim()) return;
  const text = $("prompt").value;
  $("prompt").value = "";
  resize($("prompt"));
  send(text);
});

$("stop").addEventListener("click", halt);

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "Escape") {
    if ($("sidebar").classList.contains("open")) closeSidebar(true);
    else halt();
  } else if (event.altKey && !event.ctrlKey && !event.metaKey && { KeyN: begin, KeyR: regenerate, KeyS: openSettings }[event.code]) {
    event.preventDefault();
    ({ KeyN: begin, KeyR: regenerate, KeyS: openSettings })[event.code]();
  } else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    if (event.key === "/") {
      event.preventDefault();
      $("prompt").focus();
    } else if (event.key === "?") $("help").showModal();
  }
});

// ---------------------------------------------------------------- models and key

async function loadModels() {
  known = await models(key);
  showModels();
}

function showModels() {
  const chosen = known.includes(current.model) ? current.model : known[0];
  $("model").replaceChildren(...(known.length ? known : ["no model yet"]).map((name) => new Option(name, name, false, name === chosen)));
  $("model").disabled = known.length < 2;
  if (chosen) current.model = chosen;
}

$("model").addEventListener("change", () => {
  current.model = $("model").value;
  if (current.messages.length) keep(current);
});

/** Asks for the key, and then again for what was refused. */
async function askKey(retry) {
  if ($("key").open) return;
  $("key-text").textContent = key ? "The key it was given is not one of its own." : "Whoever runs it has one for you.";
  $("key-value").value = "";
  const given = await choice($("key"));
  if (given !== "use") return;
  key = $("key-value").value.trim();
  store.keepForNow("key", key);
  store.keepSetting("key", $("key-keep").checked ? key : null);
  $("key-value").value = "";
  await start(retry);
}

function choice(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

$("key-cancel").addEventListener("click", () => $("key").close());

async function start(retry = false) {
  try {
    await loadModels();
    if (retry && current.messages.at(-1)?.error) regenerate();
  } catch (failure) {
    if (failure.status === 401) await askKey(retry);
    else toast(failure.message);
  }
}

// ---------------------------------------------------------------- settings, theme, sidebar

function openSettings() {
  const { system, stop, ...numbers } = current.settings;
  $("s-system").value = system ?? "";
  $("s-stop").value = (stop ?? []).join("\n");
  for (const name of NUMBERS) $("s-" + name).value = numbers[name] ?? "";
  $("forget-key").hidden = !key;
  $("settings").showModal();
}

$("open-settings").addEventListener("click", openSettings);
$("settings").addEventListener("close", () => {
  const settings = {};
  if ($("s-system").value.trim()) settings.system = $("s-system").value.trim();
  const stop = $("s-stop").value.split("\n").filter((line) => line !== "").slice(0, 16);
  if (stop.length) settings.stop = stop;
  for (const name of NUMBERS) {
    const field = $("s-" + name);
    if (field.value !== "" && field.checkValidity()) settings[name] = Number(field.value);
  }
  current.settings = settings;
  if (current.messages.length) keep(current);
  $("prompt").focus();
});
$("reset-settings").addEventListener("click", () => {
  $("settings-form").querySelectorAll("input, textarea").forEach((field) => (field.value = ""));
  $("s-system").focus();
});
$("forget-key").addEventListener("click", () => {
  key = null;
  store.keepForNow("key", null);
  store.keepSetting("key", null);
  $("forget-key").hidden = true;
  toast("The key is forgotten.");
});
$("delete-all").addEventListener("click", async () => {
  $("confirm-text").textContent = `Delete ${plural(all.filter((c) => c.messages.length).length, "conversation")}? This cannot be undone.`;
  if ((await choice($("confirm"))) !== "yes") return;
  for (const { controller } of runs.values()) controller.abort();
  for (const conversation of all) store.forget(conversation.id);
  all = [];
  $("settings").close();
  show(fresh());
});

const THEMES = ["auto", "light", "dark"];

function showTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const words = { auto: "as the system has it", light: "light", dark: "dark" }[theme];
  $("toggle-theme").setAttribute("aria-label", `Theme: ${words}. Change`);
  $("toggle-theme").title = `Theme: ${words}`;
}

$("toggle-theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(store.setting("theme") ?? "auto") + 1) % THEMES.length];
  store.keepSetting("theme", next);
  showTheme(next);
});

$("open-help").addEventListener("click", () => $("help").showModal());
$("new-chat").addEventListener("click", begin);

function openSidebar() {
  $("sidebar").classList.add("open");
  $("shade").hidden = false;
  $("main").inert = true;
  $("open-sidebar").setAttribute("aria-expanded", "true");
  $("close-sidebar").focus();
}

function closeSidebar(back = false) {
  if (!$("sidebar").classList.contains("open")) return;
  $("sidebar").classList.remove("open");
  $("shade").hidden = true;
  $("main").inert = false;
  $("open-sidebar").setAttribute("aria-expanded", "false");
  if (back) $("open-sidebar").focus();
}

$("open-sidebar").addEventListener("click", openSidebar);
$("close-sidebar").addEventListener("click", () => closeSidebar(true));
$("shade").addEventListener("click", () => closeSidebar(true));
matchMedia("(max-width: 760px)").addEventListener("change", () => closeSidebar());

// ---------------------------------------------------------------- begin

store.onChange((id) => {
  if (id === null || runs.has(id)) return;
  const changed = store.conversation(id);
  all = all.filter((c) => c.id !== id);
  if (changed) all.push(changed);
  all.sort((a, b) => b.used - a.used);
  if (id !== current.id) showList();
  else if (changed) show(changed);
});

addEventListener("pageshow", () => (leaving = false));
addEventListener("pagehide", () => {
  leaving = true;
  for (const id of runs.keys()) {
    const conversation = all.find((c) => c.id === id);
    if (conversation) keep(conversation);
  }
  if (current.messages.length && current.draft !== undefined) keep(current);
});

showTheme(THEMES.includes(store.setting("theme")) ? store.setting("theme") : "auto");
key = store.setting("key") ?? store.settingForNow("key");
show(all.find((c) => c.id === store.setting("open")) ?? all[0] ?? fresh());
if (matchMedia("(pointer: fine)").matches) $("prompt").focus();
start();
