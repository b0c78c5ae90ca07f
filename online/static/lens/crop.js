// A box on the photo: drawn with a mouse or a finger, or moved by its corners with the arrow keys.

import { el } from "./dom.js";

const SHARE_MIN = 0.04;
const STEP = 0.01;
const LONG_STEP = 0.1;
const SETTLED_MS = 500;
const CORNERS = {
  "top left": ["left", "top"], "top right": ["right", "top"], "bottom left": ["left", "bottom"], "bottom right": ["right", "bottom"],
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const FIRST_BOX = Object.freeze({ left: 0.15, top: 0.15, right: 0.85, bottom: 0.85 });

const between = (low, value, high) => Math.min(high, Math.max(low, value));

export class CropBox {
  /** `onCrop(box)` is told each new box, once it stands still; null for the whole photo. */
  constructor(onCrop) {
    this.onCrop = onCrop;
    this.box = null;
    this.photo = null;
    this.image = el("img", { alt: "Your photo", draggable: false });
    this.mover = el("button", { type: "button", className: "mover", "aria-label": "Move the crop with the arrow keys" });
    this.corners = Object.keys(CORNERS).map((name) =>
      el("button", { type: "button", className: `corner ${name.replace(" ", "-")}`, "aria-label": `Crop, ${name} corner: arrow keys move it` }));
    this.frame = el("div", { className: "crop", role: "group", "aria-label": "Crop", hidden: true }, this.mover, this.corners);
    this.said = el("p", { className: "crop-size", "aria-live": "polite" });
    this.stage = el("div", { className: "stage", part: "photo" }, this.image, this.frame);
    this.draw = el("button", { type: "button", className: "quiet", textContent: "Crop", on: { click: () => this.#begin() } });
    this.whole = el("button", { type: "button", className: "quiet", textContent: "Whole photo", hidden: true, on: { click: () => this.#clear() } });
    this.hint = el("p", { className: "hint", textContent: "Draw on the photo to search for a part of it." });
    this.stage.addEventListener("pointerdown", (event) => this.#grasp(event));
    this.stage.addEventListener("keydown", (event) => this.#nudge(event));
  }

  show(photo, box) {
    if (this.photo?.uri !== photo.uri) this.image.src = photo.uri;
    this.photo = photo;
    this.#place(box);
  }

  #begin() {
    this.#settle(FIRST_BOX);
    this.corners[0].focus();
  }

  #clear() {
    this.#settle(null);
    this.draw.focus();
  }

  #place(box) {
    this.box = box;
    this.frame.hidden = this.whole.hidden = !box;
    this.draw.hidden = this.hint.hidden = Boolean(box);
    this.said.textContent = box ? this.#measure(box) : "";
    if (!box) return;
    const percent = (share) => `${(share * 100).toFixed(2)}%`;
    this.frame.style.left = percent(box.left);
    this.frame.style.top = percent(box.top);
    this.frame.style.width = percent(box.right - box.left);
    this.frame.style.height = percent(box.bottom - box.top);
  }

  #measure(box) {
    const { width, height } = this.photo;
    const across = Math.round((box.right - box.left) * width);
    const down = Math.round((box.bottom - box.top) * height);
    return `${across} × ${down} pixels, ${Math.round(box.left * width)} from the left, ${Math.round(box.top * height)} from the top`;
  }

  /** Now for a button or a pointer; after a pause for keys, so that ten presses are one search. */
  #settle(box, afterMs = 0) {
    this.#place(box);
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.onCrop(box), afterMs);
  }

  #grasp(event) {
    if (event.button !== 0 || !this.photo?.width) return;
    const before = this.box;
    const corner = this.corners.indexOf(event.target);
    const start = this.#shareOf(event);
    const move = corner >= 0
      ? (now) => this.#resized(before, Object.values(CORNERS)[corner], now)
      : event.target === this.mover
        ? (now) => this.#moved(before, now.x - start.x, now.y - start.y)
        : (now) => ({
            left: Math.min(start.x, now.x), right: Math.max(start.x, now.x),
            top: Math.min(start.y, now.y), bottom: Math.max(start.y, now.y),
          });
    event.preventDefault();
    if (event.target instanceof HTMLButtonElement) event.target.focus();
    this.stage.setPointerCapture(event.pointerId);
    const follow = (moved) => this.#place(move(this.#shareOf(moved)));
    const stop = (ended) => {
      this.stage.removeEventListener("pointermove", follow);
      this.stage.removeEventListener("pointerup", stop);
      this.stage.removeEventListener("pointercancel", stop);
      const box = this.box;
      const drawn = box && box.right - box.left >= SHARE_MIN && box.bottom - box.top >= SHARE_MIN;
      if (ended.type === "pointercancel" || !drawn) this.#place(before); // a click is no crop
      else if (box !== before) this.#settle(box);
    };
    this.stage.addEventListener("pointermove", follow);
    this.stage.addEventListener("pointerup", stop);
    this.stage.addEventListener("pointercancel", stop);
  }

  #nudge(event) {
    const arrow = ARROWS[event.key];
    if (!this.box || (!arrow && event.key !== "Escape" && event.key !== "Delete")) return;
    event.preventDefault();
    if (!arrow) {
      this.#clear();
      return;
    }
    const step = event.shiftKey ? LONG_STEP : STEP;
    const [dx, dy] = arrow.map((way) => way * step);
    const corner = this.corners.indexOf(event.target);
    if (corner < 0) {
      this.#settle(this.#moved(this.box, dx, dy), SETTLED_MS);
      return;
    }
    const [across, down] = Object.values(CORNERS)[corner];
    this.#settle(this.#resized(this.box, [across, down], { x: this.box[across] + dx, y: this.box[down] + dy }), SETTLED_MS);
  }

  #shareOf(event) {
    const stage = this.image.getBoundingClientRect();
    return {
      x: between(0, (event.clientX - stage.left) / stage.width, 1),
      y: between(0, (event.clientY - stage.top) / stage.height, 1),
    };
  }

  #resized(box, [across, down], { x, y }) {
    return {
      ...box,
      [across]: across === "left" ? between(0, x, box.right - SHARE_MIN) : between(box.left + SHARE_MIN, x, 1),
      [down]: down === "top" ? between(0, y, box.bottom - SHARE_MIN) : between(box.top + SHARE_MIN, y, 1),
    };
  }

  #moved(box, dx, dy) {
    const left = between(0, box.left + dx, 1 - (box.right - box.left));
    const top = between(0, box.top + dy, 1 - (box.bottom - box.top));
    return { left, top, right: left + box.right - box.left, bottom: top + box.bottom - box.top };
  }
}
