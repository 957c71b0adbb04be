// Faces in a picture and their cards beside it: two views of one thing, which light up together.

import { FaceList } from "./faces.js";
import { Overlay } from "./overlay.js";

const REACH_PX = { mouse: 4, pen: 8, touch: 16 }; // a small face need not be hit exactly

export class FacesView {
  #faces = [];
  #size = null;
  #pointer = null; // where it is over the picture
  #lit = null;

  /** Over `below`, an img or video in `stage`, lies `canvas`; cards are put in `place`. */
  constructor(stage, below, canvas, place) {
    this.stage = stage;
    this.overlay = new Overlay(canvas, below);
    this.list = new FaceList(place, () => this.#point());
    const point = (event) => {
      this.#pointer = event;
      this.#point();
    };
    stage.addEventListener("pointermove", point);
    stage.addEventListener("pointerleave", () => point(null));
    stage.addEventListener("click", (event) => {
      const key = this.#faceAt(event);
      if (key !== null) this.list.open(key);
    });
    new ResizeObserver(() => this.redraw()).observe(below);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  /** Show faces, whose boxes are in pixels of a picture of this `size`. */
  show(faces, size) {
    this.#faces = faces;
    this.#size = size;
    this.list.show(faces);
    this.redraw();
  }

  /** Show that there are no faces, nor a picture. */
  clear() {
    this.hideBoxes();
    this.list.show([]);
  }

  /** Leave the cards as they were last seen. */
  hideBoxes() {
    this.#size = null;
    this.overlay.clear();
  }

  /** Draw again: the faces or the size are others. */
  redraw() {
    if (!this.#size) return;
    this.overlay.draw(this.#faces, this.#size, this.#lit);
    this.#point(); // a face may have moved to where the pointer is
    this.list.light(this.#lit);
  }

  #point() {
    if (!this.#size) return;
    const inPicture = this.#pointer ? this.#faceAt(this.#pointer) : null;
    this.stage.classList.toggle("on-face", inPicture !== null);
    const lit = inPicture ?? this.list.pointed;
    if (lit === this.#lit) return;
    this.#lit = lit;
    this.overlay.draw(this.#faces, this.#size, lit);
    this.list.light(lit);
  }

  #faceAt({ clientX, clientY, pointerType }) {
    return this.overlay.faceAt(clientX, clientY, REACH_PX[pointerType] ?? REACH_PX.mouse);
  }
}
