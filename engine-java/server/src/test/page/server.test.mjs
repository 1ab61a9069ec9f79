// The chat page as a server serves it: LACUNA_URL, LACUNA_KEY, LACUNA_MODEL. A browser asks for the key as it asks for a password.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, executable, launch, open, settled } from "./browser.mjs";

const { LACUNA_URL: url, LACUNA_KEY: key, LACUNA_MODEL: model } = process.env;
if (!executable()) {
  console.log("skipped: no Chromium on the PATH (apt install chromium) and none in LACUNA_BROWSER");
  process.exit(77);
}

let browser, page;
before(async () => {
  browser = await launch();
  page = await open(browser, `${url}/`, { httpCredentials: { username: "", password: key, origin: url } });
});
after(() => browser.close());

const last = () => page.getByRole("article", { name: "Answer" }).last();

test("an answer streams, with its figures, and is kept", async () => {
  await page.getByRole("button", { name: /^Settings/ }).click();
  await page.getByLabel("Longest answer, tokens").fill("60");
  await page.getByLabel("Temperature").fill("0");
  await page.keyboard.press("Escape");
  await ask(page, "Tell me a story.");
  await last().locator(".stats").getByText("60 tokens").waitFor();
  await settled(page);
  assert.match(await last().locator(".stats").textContent(), /tokens\/s · first token after .* s · 60 tokens · prompt \d+/);
  assert.match(await last().innerText(), /Cut at the limit of tokens\./);
  assert.equal(await page.getByLabel("Model").inputValue(), model);
  const text = await last().locator(".markdown").last().innerText();
  assert.ok(text.length > 20);
  await last().getByRole("button", { name: "Regenerate" }).click();
  await settled(page);
  assert.equal(await last().locator(".markdown").last().innerText(), text, "greedy is the same again");
  await page.reload();
  assert.equal(await last().locator(".markdown").last().innerText(), text);
  if (process.env.LACUNA_SHOTS) await page.screenshot({ path: `${process.env.LACUNA_SHOTS}/server.png` });
});

test("stop", async () => {
  await page.getByRole("button", { name: /^Settings/ }).click();
  await page.getByLabel("Longest answer, tokens").fill("");
  await page.keyboard.press("Escape");
  await page.evaluate(() => {
    // a toy model is done before a hand is at the button
    const found = new MutationObserver(() => {
      if (document.querySelectorAll(".message.assistant").length > 1 && document.querySelector(".message:last-child > .markdown").textContent) {
        found.disconnect();
        document.querySelector("#stop").click();
      }
    });
    found.observe(document.querySelector("#log"), { subtree: true, childList: true, characterData: true });
  });
  await ask(page, "Another one.");
  await last().getByText("Stopped.").waitFor();
  await settled(page);
});

test("a conversation that is too long says so", async () => {
  await page.getByRole("button", { name: "New conversation" }).click();
  await ask(page, "word ".repeat(2000));
  await page.getByRole("alert").getByText("longer than the model can hold").waitFor();
});

test("nothing but this server was asked for anything", () => {
  assert.deepEqual([page.strangers, page.faults], [[], []]);
});
