// The chat page in a headless Chromium against a stub of the server.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { ask, executable, launch, open, settled } from "./browser.mjs";
import { start } from "./stub.mjs";

if (!executable()) {
  console.log("skipped: no Chromium on the PATH (apt install chromium) and none in LACUNA_BROWSER");
  process.exit(77);
}

let browser, server, page;
const guard = setTimeout(() => {
  console.error("these tests take too long: something hangs");
  process.exit(1);
}, 300_000);
before(async () => (browser = await launch()));
after(async () => {
  await browser.close();
  clearTimeout(guard);
});
beforeEach(async () => {
  server = await start();
  page = await open(browser, server.url);
});
afterEach(async () => {
  const { strangers, faults } = page;
  await page.context().close();
  await server.stop();
  assert.deepEqual(strangers, [], "nothing but the server is asked for anything");
  assert.deepEqual(faults, [], "no error in the page, its content policy included");
});

const answers = () => page.getByRole("article", { name: "Answer" });
const last = () => answers().last();

test("an answer streams as markdown, with its figures", async () => {
  await ask(page, "markdown please");
  await last().getByRole("heading", { name: "Fibonacci, three ways" }).waitFor();
  await settled(page);
  assert.equal(await last().locator("strong").textContent(), "memoized");
  assert.match(await last().locator("pre code").textContent(), /^long fibonacci\(int n\) \{\n    long a = 0/);
  assert.deepEqual(await last().locator("th").allTextContents(), ["method", "time", "memory"]);
  assert.equal(await last().locator("td.right").first().textContent(), "O(1.6ⁿ)");
  assert.equal(await last().locator("ol > li").count(), 3);
  assert.equal(await last().locator("ol ul li").count(), 2);
  assert.equal(await last().locator("input[type=checkbox]").isChecked(), true);
  const link = last().getByRole("link", { name: "the article" });
  assert.match(await link.getAttribute("rel"), /noopener/);
  assert.match(await last().locator(".stats").textContent(), /tokens\/s · first token after .* s · \d+ tokens · prompt 20 \(12 cached\)/);
  await last().getByRole("button", { name: "Copy this code" }).click();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^long fibonacci/);
  assert.equal(server.seen.requests[0].stream_options.include_usage, true);
});

test("what a model writes is never run or fetched", async () => {
  await ask(page, "hostile");
  await settled(page);
  assert.equal(await last().locator("img, script, b").count(), 0);
  assert.deepEqual(await last().locator("a").evaluateAll((all) => all.map((a) => a.href)), ["https://example.com/pixel.png", "https://example.com/?q=1"]);
  assert.match(await last().textContent(), /<script>document.title='owned'<\/script>/);
  assert.notEqual(await page.title(), "owned");
});

test("stop keeps what came, and tells the server", async () => {
  await ask(page, "slow");
  await last().getByText("word5").waitFor();
  await page.getByRole("button", { name: "Stop the answer" }).click();
  await settled(page);
  const text = await last().locator(".markdown").last().textContent();
  assert.match(text, /word5/);
  assert.doesNotMatch(text, /word399/);
  assert.match(await last().textContent(), /Stopped\./);
  assert.match(await last().locator(".stats").textContent(), /about .* tokens\/s/);
  await page.waitForTimeout(100);
  assert.equal(server.seen.left, 1);
});

test("a reload keeps conversations, also one in the middle of an answer", async () => {
  await ask(page, "alpha");
  await settled(page);
  await page.getByRole("button", { name: "New conversation" }).click();
  await ask(page, "slow beta");
  await last().getByText("word5").waitFor();
  await page.reload();
  assert.match(await last().textContent(), /word5[\s\S]*Interrupted\./);
  await page.getByRole("list", { name: /Conversations/ }).getByRole("button", { name: "alpha", exact: true }).click();
  assert.match(await last().textContent(), /You said: alpha/);
  await ask(page, "gamma");
  await settled(page);
  assert.deepEqual(server.seen.requests.at(-1).messages.map((m) => m.content), ["alpha", "You said: alpha", "gamma"]);
});

test("edit asks again from there, and can be undone", async () => {
  for (const text of ["one", "two"]) {
    await ask(page, text);
    await settled(page);
  }
  await page.getByRole("article", { name: "You" }).first().getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Edit your message").fill("uno");
  await page.keyboard.press("Enter");
  await last().getByText("You said: uno").waitFor();
  await settled(page);
  assert.equal(await answers().count(), 1);
  await page.getByRole("button", { name: "Undo" }).click();
  assert.equal(await answers().count(), 2);
  assert.match(await answers().first().textContent(), /You said: one/);
});

test("regenerate replaces the last answer", async () => {
  await ask(page, "again");
  await settled(page);
  await last().getByRole("button", { name: "Regenerate" }).click();
  await settled(page);
  assert.equal(await answers().count(), 1);
  assert.deepEqual(server.seen.requests[0].messages, server.seen.requests[1].messages);
});

test("system prompt and sampling are sent as set, and nothing that is not set", async () => {
  await page.getByRole("button", { name: /^Settings/ }).click();
  await page.getByRole("textbox", { name: "System prompt" }).fill("Be brief.");
  await page.getByLabel("Temperature").fill("0.3");
  await page.getByLabel("Top k").fill("40");
  await page.getByLabel("Seed").fill("7");
  await page.getByLabel(/Stop at/).fill("END\nFIN");
  await page.keyboard.press("Escape");
  await ask(page, "settings");
  await settled(page);
  const { messages, model, stream, stream_options, ...rest } = server.seen.requests[0];
  assert.deepEqual(rest, { temperature: 0.3, top_k: 40, seed: 7, stop: ["END", "FIN"] });
  assert.deepEqual(messages[0], { role: "system", content: "Be brief." });
  assert.equal(model, "stub-model");
});

test("settings are taken along to a new conversation", async () => {
  await page.getByRole("button", { name: /^Settings/ }).click();
  await page.getByLabel("Seed").fill("7");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "New conversation" }).click();
  await page.getByLabel("Model").selectOption("other-model");
  await ask(page, "hello");
  await settled(page);
  assert.equal(server.seen.requests[0].seed, 7);
  assert.equal(server.seen.requests[0].model, "other-model");
});

test("thinking is folded away when the answer begins", async () => {
  await ask(page, "think");
  await settled(page);
  const thoughts = last().locator("details");
  assert.equal(await thoughts.getAttribute("open"), null);
  assert.match(await thoughts.locator("summary").textContent(), /Thought for/);
  await thoughts.locator("summary").click();
  assert.equal(await thoughts.getByText("First I look").isVisible(), true);
  await ask(page, "more");
  await settled(page);
  assert.deepEqual(server.seen.requests[1].messages[1], { role: "assistant", content: "You said: think" }, "thoughts are not sent back");
});

test("rename and delete, with undo", async () => {
  await ask(page, "to be named");
  await settled(page);
  const list = page.getByRole("list", { name: /Conversations/ });
  await list.getByRole("button", { name: "Rename" }).click();
  await page.getByLabel("Name of the conversation").fill("Named");
  await page.keyboard.press("Enter");
  assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), "Named");
  await list.getByRole("button", { name: "Delete" }).click();
  assert.equal(await list.getByRole("listitem").count(), 0);
  await page.getByRole("button", { name: "Undo" }).click();
  assert.equal(await list.getByRole("listitem").count(), 1);
  await list.getByRole("button", { name: "Delete" }).click();
  await page.reload();
  assert.equal(await list.getByRole("listitem").count(), 0);
});

test("a busy server: how long to wait, then again", async () => {
  await ask(page, "busy");
  await page.getByRole("alert").getByText("The server is busy").waitFor();
  assert.equal(await page.getByRole("button", { name: /Try again in/ }).isDisabled(), true);
  await page.getByRole("button", { name: "Try again", exact: true }).click();
  await last().getByText("You said: busy").waitFor();
});

test("a full context says what to do", async () => {
  await ask(page, "full");
  const alert = page.getByRole("alert");
  await alert.getByText("longer than the model can hold").waitFor();
  assert.match(await alert.textContent(), /9000 tokens/);
  await alert.getByRole("button", { name: "Edit the last message" }).click();
  await page.getByLabel("Edit your message").fill("short");
  await page.keyboard.press("Enter");
  await last().getByText("You said: short").waitFor();
});

for (const [word, title] of [["fail", /The answer failed.*The engine failed/], ["cut", /The answer is incomplete/]]) {
  test(`an answer that breaks off (${word}) keeps its beginning`, async () => {
    await ask(page, `${word} now`);
    await page.getByRole("alert").waitFor();
    assert.match(await page.getByRole("alert").textContent(), title);
    assert.match(await last().innerText(), /^You said:/);
    assert.equal(await page.getByRole("button", { name: "Try again" }).isEnabled(), true);
  });
}

test("a server that is gone", async () => {
  await server.stop();
  await ask(page, "anyone?");
  await page.getByRole("alert").getByText("No connection").waitFor();
});

test("a key is asked for, tried, remembered only when told", async () => {
  const locked = await start({ key: "open sesame" });
  const other = await open(browser, locked.url);
  const dialog = other.getByRole("dialog");
  await dialog.getByLabel("API key").fill("wrong");
  await other.keyboard.press("Enter");
  await dialog.getByText("not one of its own").waitFor();
  await dialog.getByLabel("API key").fill("open sesame");
  await other.keyboard.press("Enter");
  await dialog.waitFor({ state: "hidden" });
  await ask(other, "hello");
  await other.getByRole("article", { name: "Answer" }).getByText("You said: hello").waitFor();
  assert.equal(await other.evaluate(() => localStorage.getItem("lacuna.key")), null);
  const second = await other.context().newPage();
  await second.goto(locked.url);
  await second.getByRole("dialog").waitFor();
  await other.context().close();
  await locked.stop();
});

test("by keyboard alone", async () => {
  const focus = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.id);
  // from the end of the page on to its beginning
  for (let i = 0; i < 3 && (await page.evaluate(() => document.activeElement.className !== "skip")); i++) await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the message field");
  await page.keyboard.press("Enter");
  await page.keyboard.type("first");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("line two");
  await page.keyboard.press("Enter");
  await settled(page);
  assert.equal(server.seen.requests[0].messages[0].content, "first\nline two");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("edited");
  await page.keyboard.press("Enter");
  await last().getByText("You said: edited").waitFor();
  await settled(page);
  await page.keyboard.press("Alt+R");
  await settled(page);
  assert.equal(server.seen.requests.length, 3);
  await page.keyboard.press("Alt+N");
  await page.keyboard.type("slow second");
  await page.keyboard.press("Enter");
  await last().getByText("word3").waitFor();
  await page.keyboard.press("Escape");
  await settled(page);
  assert.equal(await focus(), "prompt");
  // back to the list: one stop for all, arrows within
  for (let i = 0; i < 20 && !(await page.evaluate(() => document.activeElement.matches("#conversations .open"))); i++) await page.keyboard.press("Shift+Tab");
  for (let i = 0; i < 3 && (await page.evaluate(() => !document.activeElement.matches("#conversations .open"))); i++) await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("F2");
  await page.keyboard.type("Renamed");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), "Renamed");
  await page.keyboard.press("Delete");
  assert.equal(await page.getByRole("list", { name: /Conversations/ }).getByRole("listitem").count(), 1);
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Alt+S");
  await page.getByRole("dialog", { name: "Settings" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
});

test("answers are read out by sentences", async () => {
  await ask(page, "think. Then say it.");
  await settled(page);
  const spoken = page.locator("#announcer[aria-live=polite]");
  assert.match(await spoken.textContent(), /Answering\.\s*You said: ?think\.\s*Then say it\./);
  assert.ok((await spoken.locator("p").count()) < 8, "not token by token");
});

test("every control has a name, every target a size", async () => {
  await ask(page, "markdown");
  await settled(page);
  const nameless = await page.locator("button, input, select, textarea, a, dialog").evaluateAll((all) =>
    all.filter((e) => !(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.textContent.trim() || e.labels?.length || e.disabled)).map((e) => e.outerHTML.slice(0, 120)));
  assert.deepEqual(nameless, []);
});

test("on a phone", async () => {
  const phone = await open(browser, server.url, { viewport: { width: 375, height: 667 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, colorScheme: "dark" });
  await ask(phone, "markdown");
  await settled(phone);
  const fits = () => phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.querySelector("#scroller").scrollWidth <= document.querySelector("#scroller").clientWidth);
  assert.ok(await fits(), "nothing scrolls sideways but code and tables in themselves");
  const field = await phone.getByLabel("Message", { exact: true }).boundingBox();
  assert.ok(field.y + field.height <= 667, "the field is in view");
  await phone.getByRole("button", { name: "Conversations", exact: true }).tap();
  await phone.getByRole("button", { name: "New conversation" }).tap();
  assert.equal(await phone.getByRole("heading", { level: 1 }).textContent(), "New conversation");
  await phone.getByRole("button", { name: "Conversations", exact: true }).tap();
  await phone.getByRole("button", { name: "markdown", exact: true }).tap();
  assert.equal(await phone.getByRole("article", { name: "Answer" }).count(), 1);
  const small = await phone.locator("header button:visible, #composer button:visible, .message-actions button:visible").evaluateAll((all) =>
    all.filter((e) => e.getBoundingClientRect().width < 40 || e.getBoundingClientRect().height < 40).map((e) => e.getAttribute("aria-label")));
  assert.deepEqual(small, []);
  if (process.env.LACUNA_SHOTS) await phone.screenshot({ path: `${process.env.LACUNA_SHOTS}/phone.png` });
  assert.deepEqual([phone.strangers, phone.faults], [[], []]);
  await phone.context().close();
});

test("light and dark, by the system or by choice, with contrast", async () => {
  const ratios = () => page.evaluate(() => {
    const channel = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = (colour) => {
      const [r, g, b] = colour.match(/[\d.]+/g).map((v) => channel(v / 255));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (e) => {
      for (; e; e = e.parentElement) if (!/, 0\)|transparent/.test(getComputedStyle(e).backgroundColor)) return getComputedStyle(e).backgroundColor;
      return "rgb(255, 255, 255)";
    };
    return ["body", ".stats", ".message.user .text", ".aside-note", "#hint", ".markdown a", "figcaption button"].map((name) => {
      const e = document.querySelector(name);
      const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
      return [name, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    });
  });
  const enough = async () => {
    for (const [name, ratio] of await ratios()) assert.ok(ratio >= 4.5, `${name} ${ratio}`);
  };
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await ask(page, "markdown");
  await settled(page);
  const light = await ground();
  await enough();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await ground();
  assert.notEqual(dark, light);
  await enough();
  await page.getByRole("button", { name: /^Theme/ }).click();
  assert.equal(await ground(), light, "light by choice");
  await page.reload();
  assert.equal(await ground(), light, "and after a reload");
  await page.getByRole("button", { name: /^Theme/ }).click();
  await page.emulateMedia({ colorScheme: "light" });
  assert.equal(await ground(), dark);
});

test("two tabs see each other's conversations", async () => {
  const second = await page.context().newPage();
  await second.goto(server.url);
  await ask(page, "from the first");
  await settled(page);
  await second.getByRole("list", { name: /Conversations/ }).getByRole("button", { name: "from the first", exact: true }).click();
  assert.match(await second.getByRole("article", { name: "Answer" }).textContent(), /You said: from the first/);
});

test("a long answer can be left to be read while it comes", async () => {
  await ask(page, "slow");
  await last().getByText("word160").waitFor();
  await page.setViewportSize({ width: 700, height: 360 });
  await page.locator("#scroller").evaluate((e) => (e.scrollTop = 0));
  await page.getByRole("button", { name: "Latest" }).waitFor();
  const before = await last().textContent();
  await page.waitForFunction((length) => document.querySelector(".message.assistant").textContent.length > length + 50, before.length);
  assert.equal(await page.locator("#scroller").evaluate((e) => e.scrollTop), 0);
  await page.getByRole("button", { name: "Latest" }).click();
  await page.keyboard.press("Escape");
  await settled(page);
});
