// A table of emotions with a bar each: of one face, or of a whole session.

import { make, percent } from "./dom.js";
import { EMOTIONS, colour } from "./emotions.js";

/** A table whose rows are updated in place, so that a live picture does not make the page work. */
export class SharesTable {
  constructor(caption) {
    this.rows = new Map();
    const body = make("tbody");
    for (const emotion of EMOTIONS) {
      const bar = make("span", { className: "bar" });
      bar.style.backgroundColor = colour(emotion);
      const value = make("td");
      const row = make("tr", {}, make("th", { scope: "row" }, emotion), make("td", {}, bar), value);
      body.append(row);
      this.rows.set(emotion, { row, bar, value });
    }
    this.element = make("table", { className: "shares" }, make("caption", { className: "unseen" }, caption), body);
  }

  /** Show shares in [0, 1] by emotion; those that the model does not know are left out. */
  show(shares) {
    for (const [emotion, { row, bar, value }] of this.rows) {
      row.hidden = !(emotion in shares);
      bar.style.width = `${(shares[emotion] ?? 0) * 100}%`;
      value.textContent = percent(shares[emotion] ?? 0);
    }
  }
}
