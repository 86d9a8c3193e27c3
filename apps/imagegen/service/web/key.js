// The key of a service that asks for one: asked for once a tab, and kept there until the tab is closed.

const NAME = "key";

const of = (id) => document.getElementById(id);
let kept = ""; // where the browser's storage is forbidden it lasts as long as the page
let asking = null; // several requests may be refused at once: one question serves all

/** The headers that carry the key; none where no key was given. */
export function keyHeaders() {
  const key = stored();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Ask for a key, saying why that of before was refused; true once one was given, false where the question was closed. */
export function askForKey(reason) {
  asking ??= answered(reason).finally(() => { asking = null; });
  return asking;
}

function answered(reason) {
  const dialog = of("key-dialog");
  of("key-reason").textContent = stored() ? reason : "Whoever runs it gives keys out.";
  of("key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const key = dialog.returnValue === "given" ? of("key").value.trim() : "";
      of("key").value = "";
      if (key) keep(key);
      resolve(key !== "");
    }, { once: true });
  });
}

function stored() {
  try {
    return sessionStorage.getItem(NAME) ?? kept;
  } catch {
    return kept;
  }
}

function keep(key) {
  kept = key;
  try {
    sessionStorage.setItem(NAME, key);
  } catch { /* then it lasts as long as the page */ }
}
