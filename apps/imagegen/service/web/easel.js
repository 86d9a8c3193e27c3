// Where pictures appear: a tile for each, out of noise, with the steps it has behind it.

import { picture } from "./stream.js";

const NOISE = 24; // cells of the noise that a picture begins with

export class Easel {
  #tiles;
  #bar;
  #states = [];

  constructor(tiles, bar) {
    this.#tiles = tiles;
    this.#bar = bar;
  }

  /** Lay out empty tiles for pictures of width × height. */
  begin(count, shape) {
    for (const image of this.#tiles.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    this.#tiles.dataset.count = count <= 4 ? String(count) : "many";
    this.#states = Array.from({ length: count }, () => ({ share: 0, tile: tile(shape) }));
    this.#tiles.replaceChildren(...this.#states.map((each) => each.tile));
    this.#bar.hidden = false;
    this.#bar.value = 0;
  }

  /** Set the tiles to pictures of width / height. */
  shape(shape) {
    for (const { tile } of this.#states) tile.style.setProperty("--shape", shape);
  }

  /** Show how far picture `image` is. */
  step(image, number, of) {
    const state = this.#states[image];
    state.share = number / of;
    state.tile.dataset.state = "drawing";
    state.tile.querySelector("i").style.scale = `${state.share} 1`;
    state.tile.querySelector(".note").textContent = `${number} / ${of}`;
    this.#bar.value = this.share();
  }

  /** Show a picture, finished or not; alt says what it is. */
  show(image, base64, alt) {
    const state = this.#states[image];
    const canvas = state.tile.querySelector("canvas");
    const shown = state.tile.querySelector("img") ?? new Image();
    const old = shown.src;
    shown.src = URL.createObjectURL(typeof base64 === "string" ? picture(base64) : base64);
    shown.alt = alt;
    shown.decode().catch(() => {}).finally(() => {
      if (canvas) canvas.replaceWith(shown);
      if (old) URL.revokeObjectURL(old);
    });
  }

  /** Picture `image` ended: "done", "failed" or "cancelled". open: called when the tile is chosen. */
  settle(image, end, open = null) {
    const state = this.#states[image];
    state.share = 1;
    state.tile.dataset.state = end;
    this.#bar.value = this.share();
    if (!open) {
      state.tile.querySelector(".note").textContent = end === "failed" ? "not drawn" : "cancelled";
      return;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "tile";
    button.dataset.state = end;
    button.style.cssText = state.tile.style.cssText;
    button.append(...state.tile.childNodes);
    button.addEventListener("click", open);
    button.title = "Recipe, replay, download";
    state.tile.replaceWith(button);
    state.tile = button;
  }

  /** Nothing is under way any more; tiles that did not end are marked as "failed" or "cancelled". */
  rest(end) {
    this.#bar.hidden = true;
    this.#states.forEach((state, image) => {
      if (!["done", "failed", "cancelled"].includes(state.tile.dataset.state)) this.settle(image, end);
    });
  }

  /** How much of all pictures is done, 0 to 1. */
  share() {
    return this.#states.reduce((sum, state) => sum + state.share, 0) / (this.#states.length || 1);
  }
}

function tile(shape) {
  const made = document.createElement("div");
  made.className = "tile";
  made.dataset.state = "waiting";
  made.style.setProperty("--shape", shape);
  const meter = document.createElement("span");
  meter.className = "meter";
  meter.append(document.createElement("i"));
  const note = document.createElement("span");
  note.className = "note";
  note.textContent = "waiting";
  made.append(noise(), meter, note);
  return made;
}

function noise() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = NOISE;
  canvas.setAttribute("aria-hidden", "true");
  const pen = canvas.getContext("2d");
  const grains = pen.createImageData(NOISE, NOISE);
  for (let i = 0; i < grains.data.length; i += 4) {
    for (let channel = 0; channel < 3; channel += 1) grains.data[i + channel] = 70 + 130 * Math.random();
    grains.data[i + 3] = 255;
  }
  pen.putImageData(grains, 0, 0);
  return canvas;
}
