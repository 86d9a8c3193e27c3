// The picture to start from, and the mask painted on it: transparent places of the mask are drawn anew.

const EDGE = 512; // of the canvas on the page; the mask is written in the picture's own size

export class Start {
  #canvas;
  #changed;
  #bitmap = null;
  #paint = null; // a canvas in the shown size: opaque where painted
  #last = null;
  file = null;
  painted = false;

  /** changed: called after each change of picture or paint. brush: returns its width in shown pixels. */
  constructor(canvas, brush, changed) {
    this.#canvas = canvas;
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#last = this.#place(event);
      this.#stroke(this.#last, brush());
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.#last) this.#stroke(this.#place(event), brush());
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => { this.#last = null; this.#changed(); });
    }
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

  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    const scale = this.#canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale, scale];
  }

  #stroke(to, width) {
    const pen = this.#paint.getContext("2d");
    pen.lineWidth = width * to[2];
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
  }
}
