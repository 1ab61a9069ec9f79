// Conversations in localStorage, one entry each, so that saving one while it grows does not write the others.

const PREFIX = "lacuna.chat.";
const memory = new Map(); // where the browser keeps nothing for this page

function read(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return memory.get(name) ?? null;
  }
}

function write(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
    return true;
  } catch {
    if (value === null) memory.delete(name);
    else memory.set(name, value);
    return false;
  }
}

export const id = () => Array.from(crypto.getRandomValues(new Uint8Array(9)), (b) => b.toString(36).padStart(2, "0")).join("");

export const setting = (name) => read("lacuna." + name);

export const keepSetting = (name, value) => write("lacuna." + name, value);

/** As long as this tab is open. */
export function settingForNow(name) {
  try {
    return sessionStorage.getItem("lacuna." + name);
  } catch {
    return null;
  }
}

export function keepForNow(name, value) {
  try {
    if (value === null) sessionStorage.removeItem("lacuna." + name);
    else sessionStorage.setItem("lacuna." + name, value);
  } catch (refused) {
    console.info("Kept until this page is left:", refused.message);
  }
}

/** Every conversation that can be read, the one that was used last first. */
export function conversations() {
  let names = [...memory.keys()];
  try {
    names = names.concat(Object.keys(localStorage));
  } catch (refused) {
    console.info("Conversations last as long as this page:", refused.message);
  }
  return [...new Set(names)]
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => conversation(name.slice(PREFIX.length)))
    .filter(Boolean)
    .sort((a, b) => b.used - a.used);
}

/** One conversation, or null when there is none or its entry is not one. */
export function conversation(id) {
  try {
    const found = JSON.parse(read(PREFIX + id));
    return found && found.id === id && Array.isArray(found.messages) ? found : null;
  } catch {
    return null;
  }
}

/** Keeps it; false when the browser has no more room, and it will be gone with the page. */
export const keep = (conversation) => write(PREFIX + conversation.id, JSON.stringify(conversation));

export const forget = (id) => write(PREFIX + id, null);

/** Calls back with the id of each conversation that another tab changed. */
export function onChange(callback) {
  addEventListener("storage", (event) => {
    if (event.key === null) callback(null);
    else if (event.key.startsWith(PREFIX)) callback(event.key.slice(PREFIX.length));
  });
}
