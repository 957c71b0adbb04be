// Boxes and labels over a picture or a video, on a canvas of the same place and size.

import { plainColours } from "./emotions.js";
import { numbered, shown, words } from "./faces.js";
import { AFAR, placeLabels } from "./labels.js";

const FONT = "system-ui, sans-serif";
const WORDS = { font: `13px ${FONT}`, height: 20, before: 8, after: 6, baseline: 14.5, stripe: 4 };
const NUMBER = { font: `600 11px ${FONT}`, height: 15, before: 6, after: 3, baseline: 11.5, stripe: 3 };
const SMALL = { font: `600 9px ${FONT}`, height: 10, before: 2, after: 1, baseline: 8, stripe: 0 };
const CROWD = 6; // of more faces, those under FAR_PX have no words: they would hide the picture
const FAR_PX = 40;
const FAR_WITH_WORDS_PX = 32; // of a face that has them: they do not come and go with each frame
const HALO_PX = 3; // around the box that is lit
const BACK_ALPHA = 0.45; // of the boxes that are not lit, while one is

/** Faces over `below`: an img or a video in the same positioned parent as the canvas. */
export class Overlay {
  #places = new Map();
  #boxes = new Map(); // in CSS pixels of the canvas

  constructor(canvas, below) {
    this.canvas = canvas;
    this.below = below;
    this.context = canvas.getContext("2d");
  }

  /** Draw faces, whose boxes are in pixels of a picture of this `size`, and light up the one with key `lit`. */
  draw(faces, size, lit = null) {
    const scale = this.#lieOver(size);
    const colourOf = plainColours();
    const drawn = numbered(faces).map(([key, face]) => {
      const { x, y, width, height } = face.box;
      const box = { x: x * scale, y: y * scale, width: width * scale, height: height * scale };
      const labels = [[NUMBER, `${key}`], [SMALL, `${key}`]];
      const hasWords = this.#places.get(key)?.form === -3;
      if (faces.length <= CROWD || box.height >= (hasWords ? FAR_WITH_WORDS_PX : FAR_PX)) {
        labels.unshift([WORDS, `${key}: ${words(face)}`]);
      }
      const forms = labels.map(([style, text]) => ({
        // as wide as with the highest score, so that a live score moves no label
        width: this.#widthOf(style, text.replace(/\d+ %/, "100 %")), height: style.height,
      }));
      return { key, face, box, labels, forms, colour: colourOf(shown(face).emotion) };
    });
    this.#boxes = new Map(drawn.map(({ key, box }) => [key, box]));
    this.#places = placeLabels(drawn, { width: size.width * scale, height: size.height * scale }, this.#places);
    const inOrder = [...drawn].sort((one, other) => (one.key === lit) - (other.key === lit)); // the lit one on top
    const isOneLit = this.#boxes.has(lit);
    for (const drawPart of [this.#drawBox, this.#drawLine, this.#drawLabel]) {
      for (const one of inOrder) {
        const isLit = one.key === lit;
        this.context.globalAlpha = isOneLit && !isLit ? BACK_ALPHA : 1;
        drawPart.call(this, one, isLit);
      }
    }
  }

  /** Show nothing, and forget where labels were. */
  clear() {
    this.context.reset();
    this.#boxes = new Map();
    this.#places = new Map();
  }

  /** The key of the face at a point of the window: the smallest that it lies in, else the nearest within `reach` px. */
  faceAt(clientX, clientY, reach) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const [x, y] = [clientX - left, clientY - top];
    let found = { distance: reach, area: Infinity, key: null };
    for (const [key, box] of this.#boxes) {
      const distance = Math.min(distanceTo(box, x, y), distanceTo(this.#places.get(key), x, y));
      const area = box.width * box.height;
      if (distance < found.distance || (distance === found.distance && area < found.area)) found = { distance, area, key };
    }
    return found.key;
  }

  /** Lie where `object-fit: contain` puts the picture; gives CSS pixels of one of its pixels. */
  #lieOver(size) {
    const { canvas, below } = this;
    const scale = Math.min(below.clientWidth / size.width, below.clientHeight / size.height);
    const [width, height] = [size.width * scale, size.height * scale];
    Object.assign(canvas.style, {
      left: `${below.offsetLeft + (below.clientWidth - width) / 2}px`,
      top: `${below.offsetTop + (below.clientHeight - height) / 2}px`,
      width: `${width}px`,
      height: `${height}px`,
    });
    const density = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
    this.context.scale(density, density);
    return scale;
  }

  #widthOf(style, text) {
    this.context.font = style.font;
    return style.before + Math.ceil(this.context.measureText(text).width) + style.after;
  }

  #drawBox({ face, box, colour }, isLit) {
    const { context } = this;
    const [x, y, width, height] = [box.x, box.y, box.width, box.height];
    const line = Math.max(1.5, Math.min(2.5, width / 12));
    context.setLineDash([]);
    context.lineWidth = line + 1.5;
    context.strokeStyle = "rgb(0 0 0 / .5)"; // an edge that is seen on every ground
    context.strokeRect(x, y, width, height);
    if (isLit) {
      const out = line / 2 + HALO_PX / 2; // around the box, to hide nothing in it
      for (const [wide, halo] of [[HALO_PX + 2, "#000"], [HALO_PX, "#fff"]]) {
        context.lineWidth = wide;
        context.strokeStyle = halo;
        context.strokeRect(x - out, y - out, width + 2 * out, height + 2 * out);
      }
    }
    context.setLineDash(face.uncertain ? [2.5 * line, 1.5 * line] : []);
    context.lineWidth = line;
    context.strokeStyle = colour;
    context.strokeRect(x, y, width, height);
  }

  /** From a label that is not beside its box to the nearest point of the box. */
  #drawLine({ key, box, colour }, isLit) {
    const { context } = this;
    const place = this.#places.get(key);
    if (place.slot !== AFAR) return;
    const [x, y] = [place.x + place.width / 2, place.y + place.height / 2];
    context.setLineDash([]);
    for (const [wide, style] of [[2.5, "rgb(0 0 0 / .5)"], [1.2, isLit ? "#fff" : colour]]) {
      context.lineWidth = wide;
      context.strokeStyle = style;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(Math.max(box.x, Math.min(x, box.x + box.width)), Math.max(box.y, Math.min(y, box.y + box.height)));
      context.stroke();
    }
  }

  #drawLabel({ key, labels, colour }, isLit) {
    const { context } = this;
    const { form, x, y, width, height } = this.#places.get(key);
    const [style, text] = labels.at(form);
    context.fillStyle = isLit ? "#fff" : "rgb(0 0 0 / .72)";
    context.fillRect(x, y, width, height);
    context.fillStyle = colour;
    context.fillRect(x, y, style.stripe, height);
    context.font = style.font;
    context.fillStyle = isLit ? "#000" : "#fff";
    context.fillText(text, x + style.before, y + style.baseline);
  }
}

/** From a point to a rectangle; 0 within it. */
function distanceTo(box, x, y) {
  return Math.hypot(Math.max(box.x - x, 0, x - box.x - box.width), Math.max(box.y - y, 0, y - box.y - box.height));
}
