// What is shown of a face, in words, and the list of faces beside a picture.

import { FaceCard } from "./card.js";
import { percent } from "./dom.js";

const MOST_IN_FULL = 6; // more faces are a compact list
const BACK_IN_FULL = 4; // so that a face at the edge of sight does not turn the page over with each frame

/** What is shown of a face: the smoothed emotion where there is one. */
export const shown = (face) => face.smoothed ?? face;

/** A few words for a face, such as "happiness 97 %". */
export const words = (face) => `${shown(face).emotion} ${percent(shown(face).score)}`;

/** Pairs of a face's number and the face: the same number on its box and its card; of a followed face, its id. */
export const numbered = (faces) => faces.map((face, index) => [face.face_id ?? index + 1, face]);

/** Cards of faces, kept by number so that a followed face keeps its card. */
export class FaceList {
  #isCompact = false;
  #areSeveral = false;
  #pointed = null;

  /** `onPoint` is called when `pointed` may be another. */
  constructor(place, onPoint) {
    this.place = place;
    this.cards = new Map();
    const point = (key) => {
      this.#pointed = key;
      onPoint();
    };
    place.addEventListener("pointerover", (event) => point(this.#keyOf(event.target)));
    place.addEventListener("pointerleave", () => point(null));
    place.addEventListener("focusin", onPoint);
    place.addEventListener("focusout", onPoint);
    place.addEventListener("keydown", (event) => this.#walk(event));
  }

  /** The number of the card that the pointer is on, else of the one with the focus, else null. */
  get pointed() {
    return this.#pointed ?? this.#keyOf(document.activeElement);
  }

  show(faces) {
    const pairs = numbered(faces);
    const keys = new Set(pairs.map(([key]) => key));
    for (const [key, card] of this.cards) {
      if (keys.has(key)) continue;
      card.element.remove();
      this.cards.delete(key);
    }
    if (!keys.has(this.#pointed)) this.#pointed = null;
    const isLive = faces.some((face) => face.face_id);
    this.#isCompact = faces.length > (this.#isCompact && isLive ? BACK_IN_FULL : MOST_IN_FULL);
    this.place.classList.toggle("compact", this.#isCompact);
    this.#areSeveral = faces.length > (this.#areSeveral && isLive ? 0 : 1);
    this.place.closest(".columns").classList.toggle("several", this.#areSeveral);
    for (const [key, face] of pairs) {
      const card = this.#card(key);
      card.setCompact(this.#isCompact);
      card.show(shown(face), face);
    }
  }

  /** Light up the card of this number, and no other. */
  light(lit) {
    for (const [key, card] of this.cards) card.element.classList.toggle("lit", key === lit);
  }

  /** Open a card, bring it into view, and give it the focus. */
  open(key) {
    const card = this.cards.get(key);
    if (!card) return;
    card.isOpen = true;
    card.focusable.focus({ preventScroll: true });
    card.bringIntoView();
  }

  #keyOf(element) {
    for (const [key, card] of this.cards) if (card.element.contains(element)) return key;
    return null;
  }

  #card(key) {
    if (!this.cards.has(key)) {
      const card = new FaceCard(key, `${this.place.id}-${key}`);
      const next = [...this.cards].find(([other]) => other > key); // a face that comes back has its old number
      this.place.insertBefore(card.element, next ? next[1].element : null);
      this.cards = new Map([...this.cards, [key, card]].sort(([one], [other]) => one - other));
    }
    return this.cards.get(key);
  }

  #walk(event) {
    const cards = [...this.cards.values()];
    const at = cards.findIndex((card) => card.focusable === event.target);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: cards.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    cards[Math.max(0, Math.min(next, cards.length - 1))].focusable.focus();
  }
}
