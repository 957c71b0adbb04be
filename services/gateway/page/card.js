// The card of one face: what it shows, how sure, and why not; in full, or a line that opens.

import { make, percent } from "./dom.js";
import { colour } from "./emotions.js";
import { SharesTable } from "./shares.js";

const REASONS = { low_score: "no emotion stands out", low_quality: "badly seen" };

export class FaceCard {
  #isOpen = false;
  #isCompact = null;
  #probabilities = {};

  constructor(key, id) {
    this.key = key;
    this.title = make("span", { id: `${id}-title` });
    this.doubt = make("span", { className: "doubt" });
    this.number = make("span", { className: "number" }, String(key));
    this.emotion = make("span", { className: "emotion" });
    this.mark = make("span", { className: "doubt" });
    this.score = make("span", { className: "score" });
    this.line = make("button", { type: "button" }, make("span", { className: "unseen" }, "Face "), this.number, " ",
      this.emotion, " ", this.score, " ", this.mark);
    this.line.setAttribute("aria-controls", `${id}-shares`);
    this.line.addEventListener("click", () => {
      this.isOpen = !this.#isOpen;
      this.bringIntoView();
    });
    this.heading = make("h3");
    this.table = new SharesTable(`Probabilities of face ${key}`);
    this.body = make("div", { id: `${id}-shares` }, this.table.element);
    this.element = make("article", { className: "face" }, this.heading, this.body);
    this.element.setAttribute("aria-labelledby", this.title.id);
  }

  /** What takes the focus: the card in full, or its line. */
  get focusable() {
    return this.#isCompact ? this.line : this.element;
  }

  get isOpen() {
    return this.#isOpen;
  }

  /** Whether a compact card shows its probabilities; remembered while it is shown in full. */
  set isOpen(isOpen) {
    this.#isOpen = isOpen;
    this.line.setAttribute("aria-expanded", String(isOpen));
    this.body.hidden = this.#isCompact && !isOpen;
    if (!this.body.hidden) this.table.show(this.#probabilities);
  }

  bringIntoView() {
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.element.scrollIntoView({ block: "nearest", behavior: isCalm ? "auto" : "smooth" });
  }

  /** Be a line that opens, or the card in full; the focus stays on it. */
  setCompact(isCompact) {
    if (isCompact === this.#isCompact) return;
    const hadFocus = this.focusable === document.activeElement;
    this.#isCompact = isCompact;
    if (isCompact) {
      this.heading.replaceChildren(this.line);
      this.body.prepend(this.doubt);
      this.element.removeAttribute("tabindex");
      this.element.removeAttribute("aria-labelledby");
    } else {
      this.heading.replaceChildren(this.title, this.doubt);
      this.element.tabIndex = 0;
      this.element.setAttribute("aria-labelledby", this.title.id);
    }
    this.isOpen = this.#isOpen;
    if (hadFocus) this.focusable.focus({ preventScroll: true });
  }

  /** Show a face: `seen` has emotion, score and probabilities, `face` says how certain they are. */
  show(seen, face) {
    const reasons = face.uncertain_reasons.map((reason) => REASONS[reason] ?? reason).join(", ");
    this.doubt.textContent = face.uncertain ? `uncertain: ${reasons}` : "";
    this.title.textContent = `Face ${this.key}: ${seen.emotion} ${percent(seen.score)}`;
    this.element.style.borderLeftColor = colour(seen.emotion);
    if (this.#isCompact) {
      this.emotion.textContent = seen.emotion;
      this.score.textContent = percent(seen.score);
      this.mark.textContent = face.uncertain ? "uncertain" : "";
    }
    this.#probabilities = seen.probabilities;
    if (!this.body.hidden) this.table.show(seen.probabilities);
  }
}
