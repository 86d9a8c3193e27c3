// The picture to start from, and the mask painted on it: transparent areas of the mask are drawn anew.

const EDGE = 512; // of the canvas on the page; the mask is written in the picture's own size
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Start {
  #canvas;
  #changed;
  #brush;
  #bitmap = null;
  #paint = null; // a canvas in the shown size: opaque where painted
  #last = null;
  #spot = null; // where the brush is that the keys move, while the canvas has the focus
  file = null;
  painted = false;

  /** changed: called after each change of picture or paint. brush: returns its width in shown pixels. */
  constructor(canvas, brush, changed) {
    this.#canvas = canvas;
    this.#changed = changed;
    this.#brush = brush;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#last = this.#point(event);
      this.#stroke(this.#last);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.#last) this.#stroke(this.#point(event));
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => { this.#last = null; this.#changed(); });
    }
    canvas.addEventListener("focus", () => {
      if (canvas.matches(":focus-visible")) this.#spot = [canvas.width / 2, canvas.height / 2];
      this.#show();
    });
    canvas.addEventListener("blur", () => { this.#spot = null; this.#show(); });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Take a file; throws where the browser cannot read it as a picture. */
  async load(file) {
    this.#bitmap = await createImageBitmap(file);
    this.file = file;
    const scale = Math.min(1, EDGE / Math.max(this.#bitmap.width, this.#bitmap.height)) || 1;
    this.#canvas.width = Math.max(1, Math.round(this.#bitmap.width * scale));
    this.#canvas.height = Math.max(1, Math.round(this.#bitmap.height * scale));
    this.wipe();
  }

  remove() {
    this.file = this.#bitmap = this.#paint = null;
    this.painted = false;
    this.#changed();
  }

  wipe() {
    this.#paint = new OffscreenCanvas(this.#canvas.width, this.#canvas.height);
    this.#paint.getContext("2d");
    this.painted = false;
    this.#show();
    this.#changed();
  }

  /** Return the mask as a PNG blob of the picture's own size, or null where nothing is painted. */
  async mask() {
    if (!this.file || !this.painted) return null;
    const mask = new OffscreenCanvas(this.#bitmap.width, this.#bitmap.height);
    const pen = mask.getContext("2d");
    pen.fillRect(0, 0, mask.width, mask.height);
    pen.globalCompositeOperation = "destination-out";
    pen.drawImage(this.#paint, 0, 0, mask.width, mask.height);
    return mask.convertToBlob({ type: "image/png" });
  }

  #point(event) {
    const box = this.#canvas.getBoundingClientRect();
    const scale = this.#canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale, scale];
  }

  /** Arrows move the brush by half its width, and paint on the way with Shift; Space paints where it is. */
  #key(event) {
    const arrow = ARROWS[event.key];
    if (!this.#spot || !(arrow || event.key === " ") || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const scale = this.#canvas.width / this.#canvas.getBoundingClientRect().width;
    const edges = [this.#canvas.width, this.#canvas.height];
    const to = arrow
      ? this.#spot.map((value, axis) => Math.min(edges[axis], Math.max(0, value + (arrow[axis] * this.#brush() * scale) / 2)))
      : this.#spot;
    if (!arrow || event.shiftKey) {
      this.#last = this.#spot;
      this.#stroke([...to, scale]);
      this.#last = null;
      this.#changed();
    }
    this.#spot = to;
    this.#show();
  }

  #stroke(to) {
    const pen = this.#paint.getContext("2d");
    pen.lineWidth = this.#brush() * to[2];
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(this.#last[0], this.#last[1]);
    pen.lineTo(to[0], to[1]);
    pen.stroke();
    this.#last = to;
    this.painted = true;
    this.#show();
  }

  #show() {
    if (!this.#bitmap) return;
    const pen = this.#canvas.getContext("2d");
    const { width, height } = this.#canvas;
    pen.clearRect(0, 0, width, height);
    pen.drawImage(this.#bitmap, 0, 0, width, height);
    const veil = new OffscreenCanvas(width, height);
    const over = veil.getContext("2d");
    over.drawImage(this.#paint, 0, 0);
    over.globalCompositeOperation = "source-in";
    over.fillStyle = "rgb(11 150 145)";
    over.fillRect(0, 0, width, height);
    pen.globalAlpha = 0.62;
    pen.drawImage(veil, 0, 0);
    pen.globalAlpha = 1;
    if (this.#spot) this.#ring(pen);
  }
  /** Show the brush that the keys move: dark and light, so that it is seen on any picture. */
  #ring(pen) {
    const scale = this.#canvas.width / this.#canvas.getBoundingClientRect().width;
    for (const [colour, width] of [["#fff", 4], ["#10181a", 2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width * scale;
      pen.beginPath();
      pen.arc(...this.#spot, (this.#brush() * scale) / 2, 0, 2 * Math.PI);
      pen.stroke();
    }
  }
}
