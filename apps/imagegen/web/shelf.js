// The gallery's store: finished pictures with their recipes, in the browser's IndexedDB, or in memory without it.

const NAME = "triptych-pictures";
const MOST = 120; // pictures kept; the oldest go first

/** A store of pictures: {id, blob, sha256, recipe, seed, seconds, image?, mask?}; ids grow with time. */
export class Shelf {
  #database = null;
  #items = [];

  async open() {
    try {
      this.#database = await opened();
      this.#items = await settled(this.#store("readonly").getAll());
    } catch { /* private windows and strict settings: then the gallery lasts as long as the page */ }
    return this;
  }

  /** All pictures, the newest first. */
  all() {
    return [...this.#items].sort((one, other) => other.id - one.id);
  }

  async add(item) {
    item.id = Math.max(Date.now(), ...this.#items.map((each) => each.id + 1));
    this.#items.push(item);
    await this.#write((store) => store.put(item));
    for (const old of this.all().slice(MOST)) await this.remove(old);
  }

  async remove(item) {
    this.#items = this.#items.filter((each) => each.id !== item.id);
    await this.#write((store) => store.delete(item.id));
  }

  async clear() {
    this.#items = [];
    await this.#write((store) => store.clear());
  }

  async #write(change) {
    if (!this.#database) return;
    try {
      await settled(change(this.#store("readwrite")));
    } catch { /* the disk may be full: the picture stays in memory */ }
  }

  #store(mode) {
    return this.#database.transaction("pictures", mode).objectStore("pictures");
  }
}

function opened() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore("pictures", { keyPath: "id" });
  return settled(request);
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
