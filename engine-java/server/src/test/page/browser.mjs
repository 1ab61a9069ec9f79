// Finds a Chromium and opens pages in it that can reach nothing but the server under test.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

export function executable() {
  if (process.env.LACUNA_BROWSER) return process.env.LACUNA_BROWSER;
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of NAMES) if (existsSync(join(folder, name))) return join(folder, name);
  }
  return null;
}

export const launch = () =>
  chromium.launch({ executablePath: executable(), args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update"] });

/** A page of its own profile; what it asked of other hosts is in `strangers`, what went wrong in it in `faults`. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"], ...options });
  const page = await context.newPage();
  const host = new URL(url).host;
  page.setDefaultTimeout(15_000);
  page.strangers = [];
  page.faults = [];
  context.on("request", (request) => {
    if (new URL(request.url()).host !== host) page.strangers.push(request.url());
  });
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    // a refused answer is logged by the browser itself
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) page.faults.push(message.text());
  });
  await page.goto(url);
  return page;
}

export async function ask(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

/** Waits until no answer is being written. */
export const settled = (page) => page.getByRole("button", { name: "Stop the answer" }).waitFor({ state: "hidden" });
