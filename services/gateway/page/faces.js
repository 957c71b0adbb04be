// The list of faces beside a picture: what each shows, how sure, and why not.

import { make, percent } from "./dom.js";
import { SharesTable } from "./shares.js";

const REASONS = { low_score: "no emotion stands out", low_quality: "badly seen" };

/** What is shown of a face: the smoothed emotion where there is one. */
export const shown = (face) => face.smoothed ?? face;

/** A few words for a face, such as "happiness 97 %". */
export const words = (face) => `${shown(face).emotion} ${percent(shown(face).score)}`;

/** Cards of faces, kept by key so that a followed face keeps its card. */
export class FaceList {
  constructor(place) {
    this.place = place;
    this.cards = new Map();
  }

  show(faces) {
    const keys = new Set(faces.map((face, index) => face.face_id ?? index + 1));
    for (const [key, card] of this.cards) {
      if (keys.has(key)) continue;
      card.element.remove();
      this.cards.delete(key);
    }
    faces.forEach((face, index) => this.#card(face.face_id ?? index + 1).show(face));
  }

  #card(key) {
    if (!this.cards.has(key)) {
      const card = new FaceCard(key);
      this.cards.set(key, card);
      this.place.append(card.element);
    }
    return this.cards.get(key);
  }
}

class FaceCard {
  constructor(key) {
    this.key = key;
    this.title = make("span");
    this.doubt = make("span", { className: "doubt" });
    this.table = new SharesTable(`Probabilities of face ${key}`);
    this.element = make("article", { className: "face" }, make("h3", {}, this.title, this.doubt), this.table.element);
  }

  show(face) {
    this.title.textContent = `Face ${this.key}: ${words(face)}`;
    const reasons = face.uncertain_reasons.map((reason) => REASONS[reason] ?? reason).join(", ");
    this.doubt.textContent = face.uncertain ? `uncertain: ${reasons}` : "";
    this.table.show(shown(face).probabilities);
  }
}
