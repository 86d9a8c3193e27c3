// The gallery, and the sheet that tells all of one picture.

import { spaced } from "./form.js";

const of = (id) => document.getElementById(id);

export class Gallery {
  #store;
  #acts;
  #addresses = new Map();
  #open = null;

  /** acts: what to do with a picture: replay(item), reuse(item), begin(item). */
  constructor(store, acts) {
    this.#store = store;
    this.#acts = acts;
    of("replay").addEventListener("click", () => this.#replay());
    of("reuse").addEventListener("click", () => { of("sheet").close(); acts.reuse(this.#open); });
    of("begin").addEventListener("click", () => { of("sheet").close(); acts.begin(this.#open); });
    of("copy").addEventListener("click", () => this.#copy());
    of("delete").addEventListener("click", async () => {
      of("sheet").close();
      await this.#store.remove(this.#open);
      this.show();
      (of("pictures").querySelector("button") ?? of("prompt")).focus();
    });
    of("empty-gallery").addEventListener("click", async () => {
      if (!confirm("Delete all pictures of the gallery from this browser?")) return;
      await store.clear();
      this.show();
      of("prompt").focus();
    });
    of("sheet").addEventListener("click", (event) => {
      if (event.target === of("sheet")) of("sheet").close(); // the backdrop
    });
  }

  /** Lay out all pictures of the store. */
  show() {
    const items = this.#store.all();
    for (const [id, address] of this.#addresses) {
      if (!items.some((item) => item.id === id)) {
        URL.revokeObjectURL(address);
        this.#addresses.delete(id);
      }
    }
    of("pictures").replaceChildren(...items.map((item) => this.#entry(item)));
    of("none").textContent = this.#usage(items.length);
    of("number").hidden = of("empty-gallery").hidden = items.length === 0;
    of("number").textContent = String(items.length);
  }

  /** What a user should know of what the gallery keeps. */
  #usage(count) {
    const mb = (bytes) => `${Math.max(1, Math.round(bytes / 2 ** 20))} MB`;
    const { dropped, unwritten } = this.#store;
    const parts = ["Pictures stay in this browser, each with its whole recipe inside."];
    if (count) parts.push(`${mb(this.#store.size())} of ${mb(this.#store.most)} are used; beyond that the oldest are deleted.`);
    if (dropped) parts.push(`${dropped === 1 ? "The oldest picture was" : `The ${dropped} oldest pictures were`} deleted: download what you want to keep.`);
    if (unwritten) parts.push("The browser could not store all of them: these last as long as this page.");
    return parts.join(" ");
  }

  /** Open the sheet of one picture. */
  open(item) {
    const { recipe } = item;
    this.#open = item;
    of("sheet-picture").src = this.#address(item);
    of("sheet-picture").alt = recipe.prompt;
    of("sheet-title").textContent = recipe.prompt;
    of("same").hidden = true;
    of("sheet-said").textContent = "";
    of("download").href = this.#address(item);
    of("download").download = `${named(recipe.prompt)}-${item.seed}.png`;
    const facts = [
      ["Seed", item.seed],
      ["Size", spaced(`${recipe.width}x${recipe.height}`)],
      ["Steps", recipe.steps],
      ["Guidance", recipe.guidance],
      ["Scheduler", recipe.scheduler],
      ["Without", recipe.negative],
      ["Adapter", recipe.adapter && `${recipe.adapter} × ${recipe.adapter_scale}`],
      ["Started from", recipe.image_sha256 && `a picture${recipe.mask_sha256 ? " and a mask" : ""}, ${Math.round(100 * recipe.strength)} % changed`],
      ["Model", recipe.model.slice(0, 12)],
      ["Took", `${item.seconds.toFixed(1)} s`],
      ["SHA-256", `${item.sha256.slice(0, 16)}…`],
    ];
    of("recipe").replaceChildren(...facts.filter(([, value]) => value !== "" && value !== null).flatMap(([name, value]) => {
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      text.textContent = String(value);
      return [term, text];
    }));
    of("sheet").showModal();
    of("replay").focus();
  }

  async #replay() {
    const item = this.#open;
    of("replay").disabled = true;
    of("same").hidden = true;
    of("sheet-said").textContent = "Drawing it again…";
    try {
      const found = await this.#acts.replay(item, (step, steps) => {
        of("sheet-said").textContent = `Drawing it again: step ${step} of ${steps}.`;
      });
      const same = found === item.sha256;
      of("same").hidden = false;
      of("same").className = same ? "badge good" : "badge bad";
      of("same").textContent = same ? "✓ the same bytes again" : "other bytes than before";
      of("sheet-said").textContent = same ? "Drawn again from its recipe: every byte is the same." : "Drawn again, with other bytes than before.";
    } catch (error) {
      of("sheet-said").textContent = error.message;
    } finally {
      of("replay").disabled = false;
    }
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.#open.seed);
      of("sheet-said").textContent = `Seed ${this.#open.seed} is on the clipboard.`;
    } catch {
      of("sheet-said").textContent = `The browser keeps the clipboard closed; the seed is ${this.#open.seed}.`;
    }
  }

  #entry(item) {
    const entry = document.createElement("li");
    const button = document.createElement("button");
    const image = new Image();
    const prompt = document.createElement("strong");
    const more = document.createElement("small");
    button.type = "button";
    image.src = this.#address(item);
    image.alt = "";
    image.loading = "lazy";
    prompt.textContent = item.recipe.prompt;
    more.textContent = `seed ${item.seed}`;
    button.append(image, prompt, more);
    button.addEventListener("click", () => this.open(item));
    entry.append(button);
    return entry;
  }

  #address(item) {
    if (!this.#addresses.has(item.id)) this.#addresses.set(item.id, URL.createObjectURL(item.blob));
    return this.#addresses.get(item.id);
  }
}

function named(prompt) {
  return prompt.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 40) || "picture";
}
