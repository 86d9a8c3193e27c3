// The gallery's store: finished pictures with their recipes, in the browser's IndexedDB, or in memory without it.

const NAME = "triptych-pictures";
const MOST = 256 * 2 ** 20; // bytes of pictures kept, or a quarter of what the browser grants; the oldest go first
const RECIPE = 4096; // bytes of what is kept beside a picture's files

/** A store of pictures: {id, blob, sha256, recipe, seed, seconds, image?, mask?}; ids grow with time. */
export class GalleryStore {
  #database = null;
  #items = [];
  #most;
  dropped = 0; // pictures deleted for newer ones while this page was open
  unwritten = 0; // pictures that the browser did not store: they last as long as the page

  /** most: bytes of pictures kept. */
  constructor(most = MOST) {
    this.#most = most;
  }

  async open() {
    try {
      const { quota } = await navigator.storage.estimate();
      this.#most = Math.min(this.#most, quota / 4);
    } catch { /* then what is usual */ }
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
    for (const old of this.#beyond()) {
      await this.remove(old);
      this.dropped += 1;
    }
  }

  /** Bytes of all pictures. */
  size() {
    return this.#items.reduce((sum, each) => sum + weight(each), 0);
  }

  /** Bytes of pictures that are kept at most. */
  get most() {
    return this.#most;
  }

  /** The oldest pictures beyond the limit; the newest always stays. */
  #beyond() {
    let sum = 0;
    return this.all().filter((each, index) => {
      sum += weight(each);
      return index > 0 && sum > this.#most;
    });
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
    } catch { // the disk may be full: the picture stays in memory
      this.unwritten += 1;
    }
  }

  #store(mode) {
    return this.#database.transaction("pictures", mode).objectStore("pictures");
  }
}

function weight(item) {
  return RECIPE + [item.blob, item.image, item.mask].reduce((sum, file) => sum + (file?.size ?? 0), 0);
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
