// Markdown as models write it, to DOM nodes. Text only ever becomes text nodes: nothing here parses HTML, and images become links, so that
// an answer can neither run code nor make the browser fetch anything. Every scan moves forward; nesting has a limit; cost is linear.

const MAX_NESTING = 12;
const FENCE = /^( {0,3})(`{3,}|~{3,})[ \t]*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:([ \t]+)(.*)|)$/;
const QUOTE = /^ {0,3}> ?/;
const DELIMITERS = /^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/** Splits a text into blocks: {kind, source, ...}. The same source always gives the same block. */
export function parse(text, depth = 0) {
  return blocks(text.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n"), depth);
}

function blocks(lines, depth) {
  const out = [];
  let at = 0;
  const add = (end, block) => {
    block.source = lines.slice(at, end).join("\n");
    out.push(block);
    at = end;
  };
  while (at < lines.length) {
    const line = lines[at];
    if (!line.trim()) {
      at++;
      continue;
    }
    let match;
    if ((match = FENCE.exec(line))) {
      const [, indent, fence, info] = match;
      let end = at + 1;
      while (end < lines.length && !closes(lines[end], fence)) end++;
      const body = lines.slice(at + 1, end).map((l) => undent(l, indent.length));
      add(Math.min(end + 1, lines.length), { kind: "code", language: info.trim().split(/\s/)[0], text: body.join("\n"), open: end === lines.length });
    } else if ((match = HEADING.exec(line))) {
      add(at + 1, { kind: "heading", level: match[1].length, text: (match[2] ?? "").replace(/(?:^|[ \t])#+[ \t]*$/, "") });
    } else if (RULE.test(line)) {
      add(at + 1, { kind: "rule" });
    } else if (depth < MAX_NESTING && QUOTE.test(line)) {
      let end = at + 1;
      while (end < lines.length && (QUOTE.test(lines[end]) || (lines[end].trim() && !starts(lines[end], depth)))) end++;
      add(end, { kind: "quote", blocks: blocks(lines.slice(at, end).map((l) => l.replace(QUOTE, "")), depth + 1) });
    } else if (depth < MAX_NESTING && ITEM.test(line)) {
      const [end, block] = list(lines, at, depth);
      add(end, block);
    } else if (table(lines, at)) {
      let end = at + 2;
      while (end < lines.length && lines[end].trim() && !starts(lines[end], depth)) end++;
      const align = cells(lines[at + 1]).map((c) => (c.endsWith(":") ? (c.startsWith(":") ? "center" : "right") : ""));
      add(end, { kind: "table", align, head: cells(line), rows: lines.slice(at + 2, end).map(cells) });
    } else {
      let end = at + 1;
      while (end < lines.length && lines[end].trim() && !starts(lines[end], depth) && !table(lines, end)) end++;
      add(end, { kind: "paragraph", text: lines.slice(at, end).map((l) => l.trimStart()).join("\n") });
    }
  }
  return out;
}

const closes = (line, fence) => {
  const bare = line.trim();
  return bare.length >= fence.length && bare === fence[0].repeat(bare.length);
};

const undent = (line, count) => line.slice(Math.min(count, line.length - line.trimStart().length));

const starts = (line, depth) =>
  FENCE.test(line) || HEADING.test(line) || RULE.test(line) || (depth < MAX_NESTING && (QUOTE.test(line) || interrupts(line)));

// In the middle of a paragraph "1986. A year" is no list: only bullets and a first number are.
const interrupts = (line) => {
  const match = ITEM.exec(line);
  return match !== null && match[4] !== undefined && match[4] !== "" && (match[2].length === 1 || /^1[.)]$/.test(match[2]));
};

const table = (lines, at) =>
  at + 1 < lines.length && lines[at].includes("|") && DELIMITERS.test(lines[at + 1]) && cells(lines[at]).length === cells(lines[at + 1]).length;

function cells(line) {
  const out = [];
  let cell = "";
  let code = false;
  const text = line.trim().replace(/^\|/, "");
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "\\" && text[i + 1] === "|") cell += text[++i];
    else if (text[i] === "|" && !code) {
      out.push(cell.trim());
      cell = "";
    } else {
      if (text[i] === "`") code = !code;
      cell += text[i];
    }
  }
  if (cell.trim()) out.push(cell.trim());
  return out;
}

function list(lines, from, depth) {
  const first = ITEM.exec(lines[from]);
  const base = first[1].length;
  const sort = first[2].slice(-1);
  const items = [];
  let loose = false;
  let at = from;
  while (at < lines.length) {
    const match = ITEM.exec(lines[at]);
    if (!match || match[1].length < base || match[1].length > base + 3 || match[2].slice(-1) !== sort || RULE.test(lines[at])) break;
    const width = match[1].length + match[2].length + (match[3] && match[3].length <= 4 ? match[3].length : 1);
    const own = [match[4] ?? ""];
    let end = at + 1;
    let blank = false;
    for (; end < lines.length; end++) {
      const line = lines[end];
      if (!line.trim()) {
        blank = true;
        own.push("");
        continue;
      }
      const indent = line.length - line.trimStart().length;
      // Models often indent what belongs to an item by two or three columns, whatever the width of its marker.
      if (indent >= width || (indent > base && indent >= Math.min(width, base + 2))) own.push(undent(line, width));
      else if (blank || ITEM.test(line) || starts(line, depth)) break;
      else own.push(line.trimStart());
      blank = false;
    }
    let inner = own.length;
    while (inner > 1 && !own[inner - 1].trim()) inner--;
    const next = end < lines.length ? ITEM.exec(lines[end]) : null;
    if (blank && next && next[1].length >= base && next[2].slice(-1) === sort) loose = true;
    const task = /^\[([ xX])\] +/.exec(own[0]);
    if (task) own[0] = own[0].slice(task[0].length);
    items.push({ task: task ? task[1] !== " " : null, blocks: blocks(own.slice(0, inner), depth + 1) });
    at = end;
  }
  return [at, { kind: "list", ordered: first[2].length > 1, start: parseInt(first[2], 10), loose, items }];
}

// ---------------------------------------------------------------- inline

const ESCAPABLE = /[!-/:-@[-`{-~]/;
const SPACE = /\s/;
const WORD = /[\p{L}\p{N}]/u;

/** Spans of a text: strings and {kind, children | text | href}. */
export function spans(text, links = true) {
  const stack = [{ marker: "", nodes: [] }];
  const top = () => stack[stack.length - 1];
  let plain = "";
  const flush = () => {
    if (plain) top().nodes.push(plain);
    plain = "";
  };
  const push = (node) => {
    flush();
    top().nodes.push(node);
  };
  const drop = () => {
    const frame = stack.pop();
    top().nodes.push(frame.marker, ...frame.nodes);
  };
  const ticks = new Map(); // run length -> where the last search for its end failed: none is made twice
  let at = 0;
  while (at < text.length) {
    const c = text[at];
    if (c === "\\" && at + 1 < text.length) {
      if (text[at + 1] === "\n") push({ kind: "break" });
      else plain += ESCAPABLE.test(text[at + 1]) ? text[at + 1] : c + text[at + 1];
      at += 2;
    } else if (c === "\n") {
      const hard = plain.endsWith("  ");
      plain = plain.trimEnd();
      if (hard) push({ kind: "break" });
      else push("\n");
      at++;
    } else if (c === "`") {
      const run = runLength(text, at);
      const end = ticks.has(run) ? -1 : closingTicks(text, at + run, run);
      if (end < 0) {
        ticks.set(run, at);
        plain += text.slice(at, at + run);
        at += run;
      } else {
        const code = text.slice(at + run, end).replace(/\n/g, " ");
        push({ kind: "code", text: /^ .* $/.test(code) && code.trim() ? code.slice(1, -1) : code });
        at = end + run;
      }
    } else if (c === "*" || c === "_" || (c === "~" && text[at + 1] === "~")) {
      let run = runLength(text, at);
      const before = at > 0 ? text[at - 1] : " ";
      const after = at + run < text.length ? text[at + run] : " ";
      let closing = !SPACE.test(before);
      let opening = !SPACE.test(after);
      if (c === "_") {
        closing &&= !WORD.test(after);
        opening &&= !WORD.test(before);
      }
      at += run;
      flush();
      while (closing && run > 0) {
        let open = stack.length - 1;
        while (open > 0 && !(stack[open].marker[0] === c && stack[open].marker.length <= run)) open--;
        if (open === 0) break;
        while (stack.length - 1 > open) drop();
        const frame = stack.pop();
        if (frame.nodes.length === 0) {
          top().nodes.push(frame.marker);
          break;
        }
        const kind = c === "~" ? "strike" : frame.marker.length === 2 ? "strong" : "em";
        top().nodes.push({ kind, children: frame.nodes });
        run -= frame.marker.length;
      }
      while (opening && run > 0 && run <= 3 && stack.length < MAX_NESTING && !(c === "~" && run !== 2)) {
        const size = run >= 2 ? 2 : 1;
        stack.push({ marker: c.repeat(size), nodes: [] });
        run -= size;
      }
      plain += c.repeat(run);
    } else if (links && (c === "[" || (c === "!" && text[at + 1] === "["))) {
      const link = bracket(text, c === "!" ? at + 1 : at);
      const href = link && address(link.href);
      if (href) {
        push({ kind: "link", href, children: spans(link.label || link.href, false) });
        at = link.end;
      } else {
        plain += c;
        at++;
      }
    } else if (links && (c === "<" || (text.startsWith("http", at) && (at === 0 || !WORD.test(text[at - 1]))))) {
      const bare = c === "<" ? /^<(https?:\/\/[^\s<>]+|mailto:[^\s<>]+)>/ : /^https?:\/\/[^\s<>"'`*]+/;
      const match = bare.exec(text.slice(at, at + 2048));
      const found = match && (match[1] ?? trimAddress(match[0]));
      const href = found && address(found);
      if (href) {
        push({ kind: "link", href, children: [found] });
        at += match[1] ? match[0].length : found.length;
      } else {
        plain += c;
        at++;
      }
    } else {
      plain += c;
      at++;
    }
  }
  flush();
  while (stack.length > 1) drop();
  return stack[0].nodes;
}

function runLength(text, at) {
  let end = at + 1;
  while (end < text.length && text[end] === text[at]) end++;
  return end - at;
}

function closingTicks(text, from, run) {
  for (let at = text.indexOf("`", from); at >= 0; at = text.indexOf("`", at)) {
    const length = runLength(text, at);
    if (length === run) return at;
    at += length;
  }
  return -1;
}

// "[label](address "title")"; a label holds no brackets, so that each one is looked at once
function bracket(text, at) {
  let close = at + 1;
  while (close < text.length && text[close] !== "]" && text[close] !== "[") close += text[close] === "\\" ? 2 : 1;
  if (text[close] !== "]" || text[close + 1] !== "(") return null;
  let end = close + 2;
  let open = 1;
  const limit = Math.min(text.length, end + 4096);
  for (; end < limit; end++) {
    if (text[end] === "\n") return null;
    if (text[end] === "(") open++;
    else if (text[end] === ")" && --open === 0) break;
  }
  if (end >= limit) return null;
  const inside = text.slice(close + 2, end).trim().replace(/\s+["'(].*$/s, "").replace(/^<|>$/g, "");
  return { label: text.slice(at + 1, close), href: inside, end: end + 1 };
}

function trimAddress(text) {
  let found = text.replace(/[.,;:!?]+$/, "");
  while (found.endsWith(")") && found.split(")").length > found.split("(").length) found = found.slice(0, -1);
  return found;
}

/** The address when it is one that a reader may be sent to, else null: no javascript:, no data:, nothing relative to this page. */
export function address(text) {
  try {
    const url = new URL(text);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

// ---------------------------------------------------------------- to DOM

const el = (name, className) => {
  const node = document.createElement(name);
  if (className) node.className = className;
  return node;
};

function inline(parent, nodes) {
  for (const node of nodes) {
    if (typeof node === "string") parent.append(node);
    else if (node.kind === "break") parent.append(el("br"));
    else if (node.kind === "code") {
      const code = el("code");
      code.textContent = node.text;
      parent.append(code);
    } else if (node.kind === "link") {
      const link = el("a");
      link.href = node.href;
      link.target = "_blank";
      link.rel = "noopener noreferrer";
      inline(link, node.children);
      parent.append(link);
    } else {
      const wrap = el({ strong: "strong", em: "em", strike: "del" }[node.kind]);
      inline(wrap, node.children);
      parent.append(wrap);
    }
  }
  return parent;
}

function node(block, tight = false) {
  switch (block.kind) {
    case "heading":
      return inline(el("h" + Math.min(6, block.level + 2)), spans(block.text)); // h1 and h2 are the page's own
    case "rule":
      return el("hr");
    case "quote": {
      const quote = el("blockquote");
      quote.append(...block.blocks.map((b) => node(b)));
      return quote;
    }
    case "list": {
      const all = el(block.ordered ? "ol" : "ul");
      if (block.ordered && block.start !== 1) all.start = block.start;
      for (const item of block.items) {
        const li = el("li");
        if (item.task !== null) {
          const box = el("input");
          box.type = "checkbox";
          box.disabled = true;
          box.checked = item.task;
          li.className = "task";
          li.append(box);
        }
        li.append(...item.blocks.map((b) => node(b, !block.loose)));
        all.append(li);
      }
      return all;
    }
    case "table": {
      const wrap = el("div", "table");
      wrap.tabIndex = 0; // scrolls sideways, by keyboard too
      wrap.setAttribute("role", "group");
      wrap.setAttribute("aria-label", "Table");
      const grid = el("table");
      const row = (values, name) => {
        const tr = el("tr");
        block.head.forEach((_, i) => tr.append(inline(el(name, block.align[i]), spans(values[i] ?? ""))));
        return tr;
      };
      const head = el("thead");
      head.append(row(block.head, "th"));
      const body = el("tbody");
      body.append(...block.rows.map((r) => row(r, "td")));
      grid.append(head, body);
      wrap.append(grid);
      return wrap;
    }
    case "code": {
      const figure = el("figure", "code");
      const caption = el("figcaption");
      const language = el("span");
      language.textContent = block.language || "text";
      const copy = el("button");
      copy.type = "button";
      copy.dataset.copy = "";
      copy.textContent = "Copy";
      copy.setAttribute("aria-label", "Copy this code");
      caption.append(language, copy);
      const pre = el("pre");
      pre.tabIndex = 0;
      const code = el("code");
      code.textContent = block.text;
      pre.append(code);
      figure.append(caption, pre);
      return figure;
    }
    default: {
      const content = spans(block.text);
      if (!tight) return inline(el("p"), content);
      return inline(document.createDocumentFragment(), content);
    }
  }
}

/** Renders into a container, and again as the text grows: blocks that did not change keep their nodes, and what is selected in them. */
export class Rendering {
  #container;
  #shown = []; // {block, node}

  constructor(container) {
    this.#container = container;
  }

  show(text) {
    const next = parse(text);
    next.forEach((block, i) => {
      const old = this.#shown[i];
      if (old && old.block.kind === block.kind && old.block.source === block.source) return;
      if (old && block.kind === "code" && old.block.kind === "code") {
        old.node.querySelector("code").textContent = block.text;
        old.node.querySelector("figcaption span").textContent = block.language || "text";
        old.block = block;
        return;
      }
      const fresh = node(block);
      if (old) old.node.replaceWith(fresh);
      else this.#container.append(fresh);
      this.#shown[i] = { block, node: fresh };
    });
    for (const old of this.#shown.splice(next.length)) old.node.remove();
  }
}
