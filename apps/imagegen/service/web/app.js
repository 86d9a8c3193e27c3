// The page: asks the service to draw, shows each picture as it comes out of the noise, keeps it in the gallery.

import { Easel } from "./easel.js";
import { describe, offer, recall, remember, settle, wanted } from "./form.js";
import { Gallery } from "./gallery.js";
import { GalleryStore } from "./gallery_store.js";
import { Start } from "./start.js";
import { Trouble, ask, asSentence, events, picture } from "./stream.js";

const IDEAS = ["red apple", "grinning face", "slice of pizza", "blue car", "sunflower", "birthday cake"];
const LOOK_AGAIN_MS = 3000; // while the service is away or loading

const of = (id) => document.getElementById(id);
const store = new GalleryStore();
const easel = new Easel(of("tiles"), of("progress"));
const start = new Start(of("mask"), () => Number(of("brush").value), startChanged);
const gallery = new Gallery(store, {
  replay: (item, onStep) => replayed(item, onStep),
  reuse: (item) => { settle(item.recipe, item.seed); of("prompt").focus(); },
  begin: (item) => take(new File([item.blob], "picture.png", { type: "image/png" })),
});
let model = null;
let work = null; // {stop, id} of the drawing under way
let leaving = false; // the page goes away: what ends now ends for this page only
let brought = null; // the recipe of a picture that was dropped

// ---- the service

async function look() {
  try {
    await ask("/health/ready");
    if (!model) {
      model = await (await ask("/api/model")).json();
      offer(model);
      recall();
      describe();
      of("model").textContent = `${model.name} ${model.digest.slice(0, 12)}`;
    }
    tell("good", model.name);
    if (of("trouble").dataset.status === "0") trouble(null);
  } catch (error) {
    if (error.status === 401) return tell("warn", "No key: reload this page to give one.");
    const away = !(error instanceof Trouble) || error.status === 0;
    tell(away ? "warn" : "wait", away ? "Not reachable" : error.message);
    setTimeout(look, LOOK_AGAIN_MS);
  }
  ready();
}

function tell(tone, text) {
  of("state").dataset.tone = tone;
  of("state").firstElementChild.textContent = text;
}

function ready() {
  of("draw").disabled = !model || work !== null;
  of("cancel").hidden = work === null;
}

function trouble(error) {
  of("trouble").hidden = !error;
  of("trouble").dataset.status = String(error?.status ?? "");
  if (!error) return;
  const wait = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
  of("trouble").textContent = error instanceof Trouble ? error.message + wait : "Something went wrong on this page.";
  if (error.status === 0 && error instanceof Trouble) look();
}

// ---- drawing

/** Draw what a form asks for; without a form, take up the drawing that the path names. */
async function draw(path, form, count, shape, source) {
  const stop = new AbortController();
  let recipes = [];
  let drawn = 0;
  let said = 0;
  work = { stop, id: null };
  ready();
  trouble(null);
  notes([]);
  of("said").textContent = "Waiting in the queue…";
  easel.begin(count, shape);
  if (matchMedia("(max-width: 820px)").matches) of("tiles").scrollIntoView({ block: "nearest" });
  const began = performance.now();
  try {
    for await (const [name, content] of events(path, form, stop.signal)) {
      if (name === "accepted") {
        work.id = content.id;
        recipes = content.recipes;
        notes(content.notes);
        easel.shape(`${recipes[0].width} / ${recipes[0].height}`);
        pending({ id: content.id, count: recipes.length });
      }
      else if (name === "step") {
        easel.step(content.image, content.step, content.steps);
        const quarter = Math.floor(4 * easel.share());
        if (said === 0 || quarter > said) { // a screen reader shall not hear every step
          of("said").textContent = quarter ? `${25 * quarter} % drawn` : "Drawing…";
          said = Math.max(quarter, 0.5);
        }
      } else if (name === "preview") easel.show(content.image, content.png, `${recipes[content.image].prompt}, unfinished`);
      else if (name === "done") {
        drawn += 1;
        const item = { blob: picture(content.png), sha256: content.sha256, recipe: content.recipe, seed: content.seed, seconds: content.seconds, ...source };
        easel.show(content.image, item.blob, content.recipe.prompt);
        easel.settle(content.image, "done", () => gallery.open(item));
        await store.add(item);
        gallery.show();
      } else if (name === "failed") {
        easel.settle(content.image, "failed");
        trouble(new Trouble(asSentence(content.message), 500));
      } else if (name === "cancelled") easel.settle(content.image, "cancelled");
    }
    pending(null);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    if (!of("trouble").hidden && !drawn) of("said").textContent = "";
    else of("said").textContent = drawn ? `${drawn === 1 ? "Drawn" : `${drawn} pictures drawn`} in ${seconds} s.` : "Cancelled.";
  } catch (error) {
    if (error.name !== "AbortError") pending(null);
    of("said").textContent = error.name === "AbortError" ? "Cancelled." : "";
    if (error.name !== "AbortError") trouble(error);
    easel.rest(error.name === "AbortError" ? "cancelled" : "failed");
  } finally {
    easel.rest("cancelled");
    work = null;
    ready();
  }
}

/** Remember the drawing under way, so that a reload of the page can take it up again. */
function pending(drawing) {
  if (leaving) return;
  try {
    if (drawing) sessionStorage.setItem("drawing", JSON.stringify(drawing));
    else sessionStorage.removeItem("drawing");
  } catch { /* storage may be forbidden: then a reload gives the drawing up */ }
}

async function takeUp() {
  let drawing = null;
  try {
    drawing = JSON.parse(sessionStorage.getItem("drawing") ?? "null");
  } catch { /* as above */ }
  if (!drawing || work) return;
  await draw(`/api/work/${drawing.id}`, null, drawing.count, "1 / 1", {});
  if (of("trouble").dataset.status === "404") trouble(new Trouble("The drawing of before ended while this page was away.", 404));
}

function notes(sentences) {
  of("notes").hidden = !sentences.length;
  of("notes").textContent = sentences.map(asSentence).join(" ");
}

async function drawForm() {
  if (of("draw").disabled) return;
  if (!of("prompt").value.trim()) {
    trouble(new Trouble("Say what to draw: the prompt is empty.", 400));
    of("prompt").focus();
    return;
  }
  if (!of("count").checkValidity() || !of("seed").checkValidity()) {
    of("options").open = true;
    of(of("count").checkValidity() ? "seed" : "count").reportValidity();
    return;
  }
  remember();
  const form = await wanted(start);
  const size = of("size").value === "auto" ? model.sizes[0] : of("size").value;
  const source = start.file ? { image: start.file, mask: form.get("mask") } : {};
  await draw("/api/generate", form, Number(form.get("n")), size.replace("x", " / "), source);
}

function cancel() {
  if (!work) return;
  if (work.id) ask(`/api/work/${work.id}`, { method: "DELETE" }).catch(() => {});
  else work.stop.abort();
  of("said").textContent = "Cancelling…";
}

function replayForm(item) {
  const form = new FormData();
  form.set("picture", item.blob, "picture.png");
  if (item.image) form.set("image", item.image, "image");
  if (item.mask) form.set("mask", item.mask, "mask.png");
  return form;
}

async function replayed(item, onStep) {
  let sha256 = null;
  for await (const [name, content] of events("/api/replay", replayForm(item))) {
    if (name === "step") onStep(content.step, content.steps);
    if (name === "done") sha256 = content.sha256;
    if (name === "failed") throw new Trouble(asSentence(content.message));
  }
  return sha256;
}

// ---- the picture to start from

function startChanged() {
  of("working").hidden = !start.file;
  of("drop").hidden = Boolean(start.file);
  if (start.painted === of("wipe").disabled) { // painted areas are drawn anew, a whole picture is only changed
    of("strength").value = start.painted ? 1 : model?.defaults.strength ?? 0.7;
    describe();
  }
  of("wipe").disabled = !start.painted;
  if (!start.file) of("brought").hidden = true;
}

/** Whether a PNG's first chunks name a recipe of ours; the service then reads it. */
async function carriesRecipe(file) {
  return file.type === "image/png" && (await file.slice(0, 1 << 16).text()).includes("iTXttriptych\0");
}

async function take(file) {
  if (!file) return;
  trouble(null);
  try {
    await start.load(file);
  } catch {
    trouble(new Trouble("This file is no picture that the browser can read: choose a PNG, JPEG or WebP.", 400));
    return;
  }
  of("start").scrollIntoView({ block: "nearest", behavior: "smooth" });
  brought = null;
  of("brought").hidden = true;
  if (!(await carriesRecipe(file))) return;
  const form = new FormData();
  form.set("picture", file);
  try {
    const found = await (await ask("/api/recipe", { method: "POST", body: form })).json();
    if (start.file !== file) return;
    brought = { ...found, blob: file };
    of("brought").hidden = false;
  } catch { /* a recipe that cannot be read is as good as none: the picture can be started from all the same */ }
}

// ---- hands on the page

of("ask").addEventListener("submit", (event) => { event.preventDefault(); drawForm(); });
of("ask").addEventListener("input", describe);
of("options").addEventListener("toggle", describe);
of("cancel").addEventListener("click", cancel);
of("forget").addEventListener("click", () => { of("seed").value = ""; describe(); });
of("file").addEventListener("change", (event) => { take(event.target.files[0]); event.target.value = ""; });
of("wipe").addEventListener("click", () => start.wipe());
of("remove").addEventListener("click", () => { start.remove(); of("file").focus(); });
of("take").addEventListener("click", () => settle(brought.recipe, brought.seed));
of("again").addEventListener("click", () => {
  if (work) return;
  const { width, height } = brought.recipe;
  draw("/api/replay", replayForm(brought), 1, `${width} / ${height}`, {});
});

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    drawForm();
  } else if (event.key === "Escape" && work) {
    event.preventDefault();
    cancel();
  }
});

for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    of("start").classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop") take(event.dataTransfer.files[0]);
  });
}

of("theme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const order = dark ? [undefined, "light", "dark"] : [undefined, "dark", "light"];
  const next = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % 3];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  try { localStorage.setItem("theme", next ?? "auto"); } catch { /* then it lasts as long as the page */ }
  themeNamed();
});

function themeNamed() {
  const text = `Colours: ${document.documentElement.dataset.theme ?? "as the system has them"}`;
  of("theme").ariaLabel = of("theme").title = text;
}

of("ideas").append(...IDEAS.map((idea) => {
  const entry = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = idea;
  button.addEventListener("click", () => { of("prompt").value = idea; drawForm(); });
  entry.append(button);
  return entry;
}));

addEventListener("pagehide", () => { // a page kept for "back" would hold its connection
  leaving = true;
  work?.stop.abort();
});
addEventListener("pageshow", (event) => {
  leaving = false;
  if (event.persisted) takeUp();
});
addEventListener("offline", () => trouble(new Trouble("This machine is offline.", 0)));
startChanged();
themeNamed();
describe();
look();
store.open().then(() => { gallery.show(); takeUp(); });
