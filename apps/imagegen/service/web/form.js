// The form: what the model offers goes in, what the user wants comes out.

const KEPT = ["negative", "size", "count", "steps", "guidance", "scheduler", "adapter", "scale"];

const SLIDER = 100; // steps that the slider ends at; a recipe may have more

const of = (id) => document.getElementById(id);

/** Fill sizes, schedulers, adapters, ranges and defaults from what /api/model says. */
export function offer(model) {
  of("prompt").maxLength = of("negative").maxLength = model.limits.prompt_chars;
  options("size", ["auto", ...model.sizes], (size) => (size === "auto" ? `auto (${spaced(model.sizes[0])})` : spaced(size)));
  options("scheduler", model.schedulers);
  options("adapter", ["", ...model.adapters.map((each) => each.name)], (name) => name || "none");
  for (const field of document.querySelectorAll(".adapters")) field.hidden = model.adapters.length === 0;
  of("count").max = model.limits.pictures;
  of("steps").min = model.limits.steps[0];
  of("steps").max = Math.min(SLIDER, model.limits.steps[1]);
  of("guidance").max = Math.min(15, model.limits.guidance[1]);
  of("steps").value = model.defaults.steps;
  of("guidance").value = model.defaults.guidance;
  of("scheduler").value = model.defaults.scheduler;
  of("strength").value = model.defaults.strength;
  pick("fit", model.defaults.fit);
}

/** Return the request as a multipart form; start is the picture to start from, if any. */
export async function wanted(start) {
  const form = new FormData();
  form.set("prompt", of("prompt").value.trim());
  form.set("negative_prompt", of("negative").value.trim());
  form.set("n", of("count").value || "1");
  form.set("size", of("size").value);
  form.set("steps", of("steps").value);
  form.set("guidance", of("guidance").value);
  form.set("scheduler", of("scheduler").value);
  form.set("previews", "12");
  form.set("keep", "20"); // seconds for a reload of the page
  if (of("seed").value.trim()) form.set("seed", of("seed").value.trim());
  if (of("adapter").value) {
    form.set("adapter", of("adapter").value);
    form.set("adapter_scale", of("scale").value);
  }
  if (start.file) {
    form.set("image", start.file);
    form.set("strength", of("strength").value);
    form.set("fit", of("fit").value);
    const mask = await start.mask();
    if (mask) form.set("mask", mask, "mask.png");
  }
  return form;
}

/** Set the form to a recipe's settings; seed is its text, exact beyond 2^53. */
export function settle(recipe, seed) {
  of("prompt").value = recipe.prompt;
  of("negative").value = recipe.negative;
  pick("size", `${recipe.width}x${recipe.height}`);
  pick("scheduler", recipe.scheduler);
  pick("adapter", recipe.adapter ?? "");
  of("steps").max = Math.max(of("steps").max, recipe.steps);
  of("steps").value = recipe.steps;
  of("guidance").value = recipe.guidance;
  of("scale").value = recipe.adapter_scale;
  of("seed").value = seed;
  of("count").value = 1;
  if (recipe.strength) of("strength").value = recipe.strength;
  of("options").open = true;
  describe();
}

/** Show the values of the sliders beside their names, and all settings in one line. */
export function describe() {
  for (const output of document.querySelectorAll("output")) {
    const value = Number(of(output.htmlFor.value).value);
    output.textContent = output.htmlFor.value === "strength" ? `${Math.round(100 * value)} %` : String(value);
  }
  const parts = [`${of("steps").value} steps`, `guidance ${of("guidance").value}`, of("scheduler").value];
  if (of("size").value !== "auto") parts.unshift(spaced(of("size").value));
  if (Number(of("count").value) > 1) parts.unshift(`${of("count").value} pictures`);
  if (of("adapter").value) parts.push(of("adapter").value);
  if (of("seed").value) parts.push(`seed ${of("seed").value}`);
  of("summary").textContent = of("options").open ? "" : parts.filter(Boolean).join(" · ");
}

/** Remember the settings for the next visit of this tab. */
export function remember() {
  try {
    sessionStorage.setItem("settings", JSON.stringify(Object.fromEntries(KEPT.map((id) => [id, of(id).value]))));
  } catch { /* storage may be forbidden: then the defaults come back */ }
}

/** Bring back what `remember` kept, as far as the model still offers it. */
export function recall() {
  let kept = {};
  try {
    kept = JSON.parse(sessionStorage.getItem("settings") ?? "{}");
  } catch { /* as above */ }
  for (const id of KEPT) {
    if (kept[id] === undefined) continue;
    if (of(id) instanceof HTMLSelectElement) pick(id, kept[id]);
    else of(id).value = kept[id];
  }
}

export const spaced = (size) => size.replace("x", " × ");

function options(id, values, text = String) {
  of(id).replaceChildren(...values.map((value) => new Option(text(value), value)));
}

function pick(id, value) {
  if ([...of(id).options].some((option) => option.value === value)) of(id).value = value;
}
